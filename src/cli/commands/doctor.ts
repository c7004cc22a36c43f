import { availableParallelism, cpus, totalmem } from 'node:os';
import { versions } from '../../base/versions.js';
import { bytes } from '../../report/format.js';
import { findAvx512 } from '../doctor/avx512.js';
import { findCards } from '../doctor/cards.js';
import { findEngine } from '../doctor/engine.js';
import type { Findings } from '../doctor/findings.js';
import { findDecoding } from '../doctor/images.js';
import { columns, print, printJson } from '../terminal/output.js';

/** `doctor`: prints the findings about this machine; exits with 1 if training is impossible. */
export async function doctor(options: { readonly json?: true }): Promise<void> {
  const engine = findEngine();
  const found = [
    program(),
    await findCards(),
    engine,
    ...(engine.works ? [await findAvx512()] : []),
    await findDecoding(),
  ];
  const problems = found.flatMap((findings) => findings.problems);
  if (options.json) {
    printJson({ ...Object.assign({}, ...found.map(({ facts }) => facts)), problems });
  } else {
    const advice = problems.flatMap(({ what, hint }) => [`problem: ${what}`, `  hint: ${hint}`]);
    print(
      ...columns(
        found.flatMap(({ lines }) => lines),
        2,
      ),
      '',
      ...(advice.length > 0 ? advice : ['No problem found.']),
    );
  }
  if (problems.some(({ blocking }) => blocking)) process.exitCode = 1;
}

function program(): Findings {
  const { 'deep-incubation': version, node } = versions();
  const model = cpus()[0]?.model ?? 'unknown';
  const cores = availableParallelism();
  const system = `${process.platform} ${process.arch}`;
  return {
    facts: { deep_incubation: version, node, system, processor: model, cores, memory_bytes: totalmem() },
    lines: [
      ['deep-incubation', version],
      ['Node', `${node}, ${system}`],
      ['processor', `${model}, ${cores} cores, ${bytes(totalmem())}`],
    ],
    problems: [],
  };
}
