/**
 * Compares COCO's evaluation of boxes and masks with pycocotools, in seconds after the files were read.
 *
 *   npm run bench -- coco [--images 5000] [--detections 100] [--folder DIR]
 *
 * The images are random, as many as in COCO's validation set, with 7 objects and 100 detections each in 80 classes. The figures of the
 * two sides must be equal. Needs a Python with pycocotools: DEEP_INCUBATION_BENCH_PYTHON, or python3.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { cocoEvaluate, readCocoAnnotations, readCocoResults } from '../src/tasks/detection/index.js';
import { scenes } from './coco/scenes.js';

interface Side {
  readonly seconds: number;
  readonly figures: readonly number[];
}
type Sides = Readonly<Record<'boxes' | 'masks', Side>>;

const { values: flags } = parseArgs({
  options: {
    images: { type: 'string', default: '5000' },
    detections: { type: 'string', default: '100' },
    folder: { type: 'string', default: tmpdir() },
  },
});

const folder = mkdtempSync(join(flags.folder, 'bench-coco-'));
try {
  const [truths, results] = ['truths.json', 'results.json'].map((name) => join(folder, name));
  const made = scenes(Number(flags.images), Number(flags.detections));
  writeFileSync(truths, JSON.stringify(made.truths));
  writeFileSync(results, JSON.stringify(made.results));
  const [theirs, ours] = [pycocotools(truths, results), evaluated(truths, results)];
  const rows = (['boxes', 'masks'] as const).map((kind) => row(kind, ours[kind], theirs[kind]));
  const head = ['| kind | ours | pycocotools | ratio | AP |', '| --- | --- | --- | --- | --- |'];
  process.stdout.write(`${[...head, ...rows].join('\n')}\n`);
} finally {
  rmSync(folder, { recursive: true });
}

function evaluated(truthFile: string, resultFile: string): Sides {
  const truths = readCocoAnnotations(truthFile);
  const results = readCocoResults(resultFile, truths);
  const side = (kind: keyof Sides): Side => {
    const start = performance.now();
    const { figures } = cocoEvaluate(truths, results, kind);
    return { seconds: (performance.now() - start) / 1000, figures: Object.values(figures) };
  };
  return { boxes: side('boxes'), masks: side('masks') };
}

function pycocotools(truths: string, results: string): Sides {
  const python = process.env.DEEP_INCUBATION_BENCH_PYTHON || 'python3';
  const program = fileURLToPath(new URL('../../bench/pytorch/coco.py', import.meta.url));
  return JSON.parse(execFileSync(python, [program, truths, results], { encoding: 'utf8' }));
}

function row(kind: string, ours: Side, theirs: Side): string {
  const apart = Math.max(...ours.figures.map((figure, i) => Math.abs(figure - theirs.figures[i])));
  if (!(apart < 1e-12)) throw new RunError(`the figures of ${kind} differ by ${apart}`);
  const ratio = (ours.seconds / theirs.seconds).toFixed(2);
  const seconds = [ours, theirs].map((side) => `${side.seconds.toFixed(2)} s`).join(' | ');
  return `| ${kind} | ${seconds} | ${ratio} | ${ours.figures[0].toFixed(4)} |`;
}
