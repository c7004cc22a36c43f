import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { sha256 } from './paths.mjs';

const AT_ONCE = 2;

/** @typedef {{ command: string[], version: string }} Compiler */

/**
 * `$CXX` (with its own flags, as make has it), else the first C++ compiler of the PATH.
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Compiler>}
 */
export async function findCompiler(env) {
  const wanted = env.CXX?.trim().split(/\s+/) ?? [];
  const program = firstOnPath(wanted.length > 0 ? wanted.slice(0, 1) : ['c++', 'g++', 'clang++'], env);
  if (!program) {
    const what =
      wanted.length > 0 ? `CXX is ${wanted[0]}, which is not on the PATH` : 'there is no C++ compiler';
    throw new SetupError(`${what}.`, {
      hint: 'Run `apt-get install g++` as root, or set CXX to a C++20 compiler.',
      exitCode: wanted.length > 0 ? 2 : 1,
    });
  }
  const command = [program, ...wanted.slice(1)];
  const { stdout } = await capture(program, ['--version']);
  return { command, version: stdout.split('\n')[0] ?? program };
}

/**
 * Compiles each source to an object, two at once; objects of unchanged inputs are kept.
 * @param {object} options
 * @param {Compiler} options.compiler
 * @param {string[]} options.flags
 * @param {string[]} options.sources
 * @param {string[]} options.inputs  hashes: of each source, in order, then of each header
 * @param {string} options.build
 * @returns {Promise<string[]>} the objects, in the sources' order
 */
export async function compileAll({ compiler, flags, sources, inputs, build }) {
  const folder = join(build, 'objects');
  mkdirSync(folder, { recursive: true });
  const headers = inputs.slice(sources.length);
  const jobs = sources.map((source, i) => {
    const key = sha256(JSON.stringify([compiler, flags, inputs[i], headers])).slice(0, 12);
    return { source, object: join(folder, `${basename(source, '.cc')}-${key}.o`) };
  });
  const objects = jobs.map((job) => job.object);
  const waiting = jobs.filter((job) => !existsSync(job.object));
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const partial = `${job.object}.${process.pid}`;
      await runCompiler({
        compiler,
        args: [...flags, '-c', job.source, '-o', partial],
        build,
        what: job.source,
      });
      renameSync(partial, job.object);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const name of readdirSync(folder)) {
    if (!objects.includes(join(folder, name))) rmSync(join(folder, name));
  }
  return objects;
}

/**
 * Links the objects before libtorch, so that their symbols take precedence over those of libtorch.
 * @param {{ compiler: Compiler, flags: string[], objects: string[], output: string, build: string }} options
 */
export async function link({ compiler, flags, objects, output, build }) {
  await runCompiler({ compiler, args: ['-o', output, ...objects, ...flags], build, what: 'the addon' });
}

/** @param {{ compiler: Compiler, args: string[], build: string, what: string }} options */
async function runCompiler({ compiler, args, build, what }) {
  const [program = '', ...own] = compiler.command;
  const result = await capture(program, [...own, ...args]);
  if (result.code === 0) return;
  const log = join(build, 'compile.log');
  writeFileSync(log, `${[program, ...own, ...args].join(' ')}\n${result.output}`);
  const lines = result.output
    .split('\n')
    .filter((line) => /error|undefined reference|cannot find/i.test(line));
  throw new SetupError(`${what} failed to compile; the full output is in ${log}.`, {
    details: lines.slice(0, 5).join('\n') || result.output.slice(-2000),
  });
}
