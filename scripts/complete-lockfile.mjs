/**
 * Adds to package-lock.json the optional platform packages that npm left out because the registry at hand lacks them.
 * Without them `npm ci` refuses the lockfile, on every platform. Run it after `npm install` when such a registry, say
 * a partial mirror, was in use. The entries carry no integrity; npm fills it in where the packages can be had.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { inRoot } from './paths.mjs';

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'sunos', 'win32'];
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];
const LIBRARIES = ['glibc', 'musl'];
const ALIASES = { windows: 'win32', 64: 'x64', gnu: 'glibc' };

const lockfile = inRoot('package-lock.json');
const lock = JSON.parse(readFileSync(lockfile, 'utf8'));

for (const [path, { dev, optionalDependencies = {} }] of Object.entries(lock.packages)) {
  if (path === '') continue;
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const entry = `node_modules/${name}`;
    if (lock.packages[entry] || lock.packages[`${path}/${entry}`] || !/^\d/.test(version)) continue;
    lock.packages[entry] = platformPackage(name, version, dev);
    console.log(`added ${name} ${version}`);
  }
}

const [own, ...others] = Object.entries(lock.packages);
others.sort(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = Object.fromEntries([own, ...others]);
writeFileSync(lockfile, `${JSON.stringify(lock, null, 2)}\n`);

/** The platform stands in the name, such as @deno/linux-arm64-glibc. */
function platformPackage(name, version, dev) {
  const words = name.split(/[-/]/).map((word) => ALIASES[word] ?? word);
  const among = (known) => words.filter((word) => known.includes(word));
  const libc = among(LIBRARIES);
  return {
    version,
    cpu: among(PROCESSORS),
    ...(dev ? { dev } : {}),
    ...(libc.length > 0 ? { libc } : {}),
    optional: true,
    os: among(SYSTEMS),
  };
}
