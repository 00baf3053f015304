/**
 * Sets up a fresh clone where only Node and npm exist: dependencies and build, and for tests Chromium with its software
 * WebGPU driver. What is in place is left alone. Plain JavaScript, because the Node outside may be too old for TypeScript.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { argv, execPath, getuid, platform } from 'node:process';
import { fileURLToPath } from 'node:url';
import { inRoot, node, outerEnvironment, root, toolEnvironment } from './paths.mjs';

const BUILD_INPUTS = [
  'assembly',
  'shaders',
  'src',
  'edge/page',
  'web',
  'models/demo',
  'scripts/build_web.mjs',
  'align.ts',
  'asconfig.json',
  'asconfig.policy.json',
  'build.mjs',
  'package.json',
  'tsconfig.json',
  'tsconfig.types.json',
];
const BUILD_OUTPUTS = [
  'src/generated/wasm.ts',
  'src/generated/policy_wasm.ts',
  'src/generated/shaders.ts',
  'src/generated/page.ts',
  'dist/dualign.mjs',
  'dist/dual.mjs',
  'dist/web/index.html',
];
const BUILD_STAMP = inRoot('build/stamp');

const CHROMIUM = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
const DRIVER_FOLDERS = [
  '/usr/lib/chromium',
  '/usr/lib64/chromium-browser',
  '/usr/lib/chromium-browser',
  '/opt/google/chrome',
];
const LOADER_FOLDERS = ['/usr/lib', '/usr/lib64', '/usr/local/lib', '/lib'];
const DEBIAN_PACKAGES = ['chromium', 'libvulkan1'];

/** What it takes to run: no GPU, and no driver of one. */
export function setup() {
  installDependencies();
  build();
}

/** What it takes to test on WebGPU and in a browser too. */
export function setupForTests() {
  setup();
  installChromium();
}

function installDependencies() {
  if (dependenciesMatch()) return;
  say('installing dependencies (npm ci)');
  const [command, ...args] = npm();
  const { status, output } = run(command, [...args, 'ci', '--no-audit', '--no-fund'], outerEnvironment);
  if (status !== 0) fail('npm ci failed', output);
  if (!existsSync(node)) {
    fail(
      `npm ci left no ${node}: its install scripts did not run; allow them (npm config set ignore-scripts false)`,
      output,
    );
  }
}

/** True when every package of the lockfile is there in the locked version; optional ones may be absent. */
function dependenciesMatch() {
  try {
    if (!existsSync(node)) return false;
    const locked = packagesOf('package-lock.json');
    const installed = packagesOf('node_modules/.package-lock.json');
    return Object.entries(locked).every(([path, { version, optional }]) => {
      if (path === '') return true;
      const there = installed[path];
      return there ? there.version === version : optional === true;
    });
  } catch {
    return false;
  }
}

function packagesOf(lockfile) {
  return JSON.parse(readFileSync(inRoot(lockfile), 'utf8')).packages;
}

/** The npm that started this script, or the one on PATH. */
function npm() {
  const { npm_execpath: script, npm_node_execpath: runner } = process.env;
  if (script && /\.c?js$/.test(script))
    return [runner && !runner.startsWith(root) ? runner : outerNode(), script];
  return [platform === 'win32' ? 'npm.cmd' : 'npm'];
}

/** `npm ci` removes the Node in node_modules, so it cannot run npm. */
function outerNode() {
  return execPath.startsWith(root) ? 'node' : execPath;
}

function build() {
  const started = new Date();
  if (isBuilt()) return;
  say('building');
  const { status, output } = run(node, [inRoot('build.mjs')], toolEnvironment);
  if (status !== 0) fail('the build failed', output);
  mkdirSync(dirname(BUILD_STAMP), { recursive: true });
  writeFileSync(BUILD_STAMP, '');
  // What changes while the build runs is newer than the build.
  utimesSync(BUILD_STAMP, started, started);
}

function isBuilt() {
  if (![BUILD_STAMP, ...BUILD_OUTPUTS.map((path) => inRoot(path))].every((path) => existsSync(path)))
    return false;
  const built = statSync(BUILD_STAMP).mtimeMs;
  return BUILD_INPUTS.every((path) => newest(inRoot(path)) <= built);
}

/** Time of the last change in a file or folder, generated sources aside. */
function newest(path) {
  const { mtimeMs, isDirectory } = describe(path);
  if (!isDirectory) return mtimeMs;
  if (path === inRoot('src/generated')) return 0;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(`${path}/${name}`)));
}

function describe(path) {
  const stats = statSync(path);
  return { mtimeMs: stats.mtimeMs, isDirectory: stats.isDirectory() };
}

/** Chromium brings SwiftShader along, the software driver that Node, Deno and the browser can all use. */
function installChromium() {
  if (platform !== 'linux') {
    if (!process.env.CHROMIUM) say('tests in Chromium look for it where the variable CHROMIUM points');
    return;
  }
  const missing = missingPieces();
  if (missing.length === 0) return;
  const install = `apt-get install -y --no-install-recommends ${DEBIAN_PACKAGES.join(' ')}`;
  if (!isDebian() || getuid?.() !== 0) {
    say(
      `missing: ${missing.join(', ')}; tests that need them are left out. On Debian, as root: ${install}; elsewhere: ` +
        'install Chromium and a Vulkan loader',
    );
    return;
  }
  say(`installing ${missing.join(', ')} (apt-get)`);
  const environment = { ...outerEnvironment, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update'], environment);
  const { status, output } = run('apt-get', install.split(' ').slice(1), environment);
  if (status !== 0) say(`${install} failed: ${output.trim().split('\n').at(-1)}`);
}

function missingPieces() {
  const pieces = [];
  if (!CHROMIUM.some((path) => path && existsSync(path))) pieces.push('Chromium');
  if (!DRIVER_FOLDERS.some((folder) => existsSync(`${folder}/vk_swiftshader_icd.json`))) {
    pieces.push('a software WebGPU driver');
  }
  if (!LOADER_FOLDERS.some(hasVulkanLoader)) pieces.push('the Vulkan loader');
  return pieces;
}

/** Debian keeps libraries in a folder per architecture. */
function hasVulkanLoader(folder) {
  if (!existsSync(folder)) return false;
  const folders = [
    folder,
    ...readdirSync(folder)
      .filter((name) => name.includes('-linux-'))
      .map((name) => `${folder}/${name}`),
  ];
  return folders.some((path) => existsSync(`${path}/libvulkan.so.1`));
}

/** Ubuntu is left out: its chromium package is a stub of a snap, without the driver. */
function isDebian() {
  if (!existsSync('/etc/os-release') || !existsSync('/usr/bin/apt-get')) return false;
  const release = readFileSync('/etc/os-release', 'utf8');
  return /^ID(_LIKE)?=.*debian/m.test(release) && !/ubuntu/i.test(release);
}

function run(command, args, env) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: command.endsWith('.cmd'),
  });
  return {
    status: error ? 1 : status,
    output: `${stdout ?? ''}${stderr ?? ''}${error ? `${error.message}\n` : ''}`,
  };
}

function say(text) {
  console.log(`setup: ${text}`);
}

function fail(text, output) {
  process.stderr.write(output);
  process.stderr.write(`setup: ${text}\n`);
  process.exit(1);
}

if (argv[1] && realpathSync(argv[1]) === fileURLToPath(import.meta.url)) setupForTests();
