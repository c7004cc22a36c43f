import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RunError } from '../../src/base/errors.js';
import { type Cell, cellName, metaCell, needsMeta, phasesOf, recipeOf, runArguments } from './cells.js';

// The compiled file is in dist-bench/bench/study/, and dist is in dist-bench/src.
const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** The result of a cell's run. Accuracies are top-1 in percent. */
export interface CellResult extends Cell {
  readonly top1: number;
  readonly images: number;
  /** Accuracy of a model with weights from the phases before, before its first step. */
  readonly start?: number;
  /** Accuracies of the trained hybrids. */
  readonly hybrids?: readonly number[];
  /** Total block-passes of the result, including PT, in millions. */
  readonly blockPasses: number;
  /** Training time of the cell's own phases, one after another on one core. Depends on the load of the machine. */
  readonly seconds: number;
}

interface Folders {
  /** The runs; they are never deleted automatically. */
  readonly runs: string;
  /** One small JSON file per cell. */
  readonly results: string;
  /** Additional settings for every run, for quick trials. */
  readonly set: readonly string[];
}

const resultPath = (cell: Cell, { results }: Folders) => join(results, `${cellName(cell)}.json`);

/** The result of a cell that has ended, or undefined. */
function readResult(cell: Cell, folders: Folders): CellResult | undefined {
  const path = resultPath(cell, folders);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** Runs a cell, or resumes it where it stopped, and writes its result. A cell with a result is not run again. */
export async function runCell(cell: Cell, folders: Folders): Promise<CellResult> {
  return readResult(cell, folders) ?? (await trainCell(cell, folders));
}

/** The result of a meta model whose run exists, so that cells can start from it. Results are committed, runs are not. */
async function metaWithRun(cell: Cell, folders: Folders): Promise<CellResult> {
  const hasRun = existsSync(join(folders.runs, cellName(cell), 'PT', 'result.json'));
  return (hasRun ? readResult(cell, folders) : undefined) ?? (await trainCell(cell, folders));
}

/** Trains a cell and writes its result. Its meta model is trained first if it needs one. */
async function trainCell(cell: Cell, folders: Folders): Promise<CellResult> {
  const meta = needsMeta(cell) ? await metaWithRun(metaCell(cell), folders) : undefined;
  const out = join(folders.runs, cellName(cell));
  const recipe = join(folders.runs, `${cellName(cell).replaceAll('/', '-')}.json`);
  mkdirSync(dirname(recipe), { recursive: true });
  writeFileSync(recipe, JSON.stringify(recipeOf(cell), undefined, 2));
  const more = folders.set.flatMap((setting) => ['--set', setting]);
  const epochs = equalCostEpochs(cell, recipe, more);
  const metaRun = join(folders.runs, cellName(metaCell(cell)), 'PT');
  await cli('run', recipe, '--out', out, ...runArguments(cell, { meta: metaRun, epochs }), ...more);
  const result = resultOf(cell, out, meta);
  const path = resultPath(cell, folders);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** Epochs by which a strategy costs what Deep Incubation costs; undefined if the recipe determines them. */
function equalCostEpochs({ strategy }: Cell, recipe: string, more: readonly string[]): number | undefined {
  if (strategy !== 'growth' && strategy !== 'meta-equal-cost') return undefined;
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'plan', recipe, '--json', ...more], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new RunError(`plan ${recipe} failed:\n${stderr}`);
  const phases: { phase: string; epochs: number; block_passes: number }[] = JSON.parse(stdout).phases;
  const budget = phases
    .filter(({ phase }) => phase !== 'E2E')
    .reduce((sum, phase) => sum + phase.block_passes, 0);
  const [pt, ft] = ['PT', 'FT'].map((name) => phases.find(({ phase }) => phase === name));
  if (pt === undefined || ft === undefined) throw new RunError(`${recipe} has no PT or no FT.`);
  return strategy === 'growth'
    ? (ft.epochs * (budget - pt.block_passes)) / ft.block_passes
    : (pt.epochs * budget) / pt.block_passes;
}

interface RunPhase {
  readonly phase: string;
  readonly top1: number;
  readonly evaluation_images: number;
  readonly block_passes: number;
  readonly seconds: number;
}

function resultOf(cell: Cell, out: string, meta: CellResult | undefined): CellResult {
  const { phases }: { phases: RunPhase[] } = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));
  const last = phases.at(-1);
  if (last === undefined || phases.length < phasesOf(cell.strategy).length)
    throw new RunError(`${out} has not ended.`);
  const hybrids = phases.filter(({ phase }) => phase.startsWith('MT/'));
  const start = startOf(join(out, last.phase, 'metrics.jsonl'));
  return {
    ...cell,
    top1: last.top1,
    images: last.evaluation_images,
    ...(start !== undefined && { start }),
    ...(hybrids.length > 0 && { hybrids: hybrids.map(({ top1 }) => top1) }),
    blockPasses:
      phases.reduce((sum, { block_passes }) => sum + block_passes, 0) / 1e6 + (meta?.blockPasses ?? 0),
    seconds: Math.round(phases.reduce((sum, { seconds }) => sum + seconds, 0)),
  };
}

function startOf(metrics: string): number | undefined {
  const [first] = readFileSync(metrics, 'utf8').split('\n', 1);
  const { kind, step, top1 } = JSON.parse(first);
  return kind === 'eval' && step === 0 ? top1 : undefined;
}

function cli(...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new RunError(`${args.join(' ')} ended with ${signal ?? code}:\n${errors}`));
    });
  });
}
