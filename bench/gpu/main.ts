/**
 * Runs a section of the GPU kit. bench/gpu/run starts it in the repository's root:
 *
 *   node dist-bench/bench/gpu/main.js SECTION [CASE]
 *
 * Findings are lines of JSON, appended to $OUT/report.jsonl.
 */
import { writeSync } from 'node:fs';
import { type Case, readCases } from './cases.js';
import { loadFake } from './fake.js';
import { errorAsShown, report } from './report.js';

/** Sections are imported lazily, so that one that cannot be loaded does not affect the rest. */
const SECTIONS: Record<string, (argument: string) => Promise<unknown>> = {
  identify: async () => (await import('./identify.js')).identify(),
  images: async () => (await import('./images.js')).images(),
  golden: async () => (await import('./golden.js')).golden(),
  'against-cpu': async () => (await import('./against-cpu.js')).againstCpu(),
  group: async () => (await import('./group.js')).group(),
  step: async (name) => (await import('./step.js')).step(name),
  method: async () => (await import('./method.js')).method(),
  failures: async () => (await import('./failures.js')).failures(),
  loader: async () => (await import('./loader.js')).loader(),
  table: async () => (await import('./table.js')).table(),
  cases: async (which) => list(which),
};

/** Prints the names of all cases, of those that PyTorch runs (torch) or compiles (compile); or the cases themselves (json). */
function list(which: string): void {
  const isWanted = ({ torch, compile }: Case) =>
    which === 'compile' ? compile : which !== 'torch' || torch.length > 0;
  const cases = readCases();
  const names = cases.filter(isWanted).map(({ name }) => name);
  console.log(which === 'json' ? JSON.stringify(cases) : names.join(' '));
}

const [name = '', argument = ''] = process.argv.slice(2);
const section = SECTIONS[name];
if (section === undefined) {
  console.error(`there is no section '${name}'; there are: ${Object.keys(SECTIONS).join(', ')}`);
  process.exit(2);
}
let code = 0;
try {
  if (name !== 'cases' && name !== 'table') loadFake();
  await section(argument);
} catch (error) {
  report({
    section: name,
    ...(argument ? { case: argument, who: 'ours' } : {}),
    ok: false,
    error: errorAsShown(error),
  });
  writeSync(2, `${error instanceof Error ? error.stack : error}\n`);
  code = 1;
}
// Threads of libtorch or the loader must not keep the process alive.
process.exit(code);
