/** `npm start`: sets up, then runs the command with Node 24; without arguments, the main job on a small model. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { argv, cwd, exit } from 'node:process';
import { inRoot, node, toolEnvironment } from './paths.mjs';
import { setup } from './setup.mjs';

/** Settings of the main job on a small model beside the repository, or a request for help where there is none. */
function defaultArguments() {
  const shared = (path) => relative(cwd(), inRoot('../shared', path));
  const files = {
    '--policy': shared('models/stories260K'),
    '--prompts': shared('data/story-prompts.jsonl'),
    '--reward': shared('models/stories-reward'),
    '--cost': shared('models/stories-cost'),
  };
  if (!Object.values(files).every((path) => existsSync(path))) return ['--help'];
  return [...Object.entries(files).flat(), '--beta', '1', '--margin', '0.25', '--out', 'runs/first'];
}

setup();
const given = argv.slice(2);
const args = given.length > 0 ? given : defaultArguments();
if (given.length === 0) console.log(`node align.ts ${args.join(' ')}`);

const child = spawn(node, [inRoot('align.ts'), ...args], { stdio: 'inherit', env: toolEnvironment });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => exit(code ?? 1));
