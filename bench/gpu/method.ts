import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile } from '../../src/recipe/compile.js';
import { defineRecipe } from '../../src/recipe/recipe.js';
import { latestCheckpoint, newestStep, readCheckpoint } from '../../src/run/checkpoint-store.js';
import { readResult, runFolder } from '../../src/run/run-folder.js';
import { cli, MAIN } from './cli.js';
import { apart, largest } from './compare.js';
import { kitRecipe } from './recipe.js';
import { report } from './report.js';
import { settings } from './settings.js';

const SECTION = 'method';
const FOLDER = join(settings.work, 'method');
const WHOLE = join(FOLDER, 'whole');

/** Runs every phase with `run`; then FT again, once killed with SIGKILL and resumed, and once without interruption. */
export async function method(): Promise<void> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const recipe = join(FOLDER, 'recipe.json');
  writeFileSync(recipe, JSON.stringify(kitRecipe()));
  const { status, seconds, text } = cli(['run', recipe, '--out', WHOLE, '--quiet']);
  const isDone = status === 0;
  report({
    section: SECTION,
    check: 'whole method',
    ok: isDone,
    seconds,
    ...(isDone ? { phases: results() } : { text }),
  });
  if (!isDone) return;
  await killedAndResumed();
  // The difference between two equal runs on this device.
  const again = copyWithoutFt('again');
  const plain = cli(['run', again, '--only', 'FT', '--quiet']);
  const equal = plain.status === 0;
  report({
    section: SECTION,
    check: 'the same run twice',
    ok: equal,
    ...(equal ? { weights_apart: weightsApart(WHOLE, again) } : { text: plain.text }),
  });
}

function results() {
  const phases = compile(defineRecipe(kitRecipe())).map(({ name }) => readResult(WHOLE, name));
  return phases.map((result) => ({
    phase: result?.phase,
    loss: result?.loss,
    top1: result?.top1,
    seconds: result?.seconds,
    steps: result?.steps,
  }));
}

function copyWithoutFt(name: string): string {
  const copy = join(FOLDER, name);
  cpSync(WHOLE, copy, { recursive: true });
  for (const phase of ['FT', 'E2E']) rmSync(join(copy, phase), { recursive: true, force: true });
  return copy;
}

/** Kills the command and its processes after FT's first checkpoint, and resumes with the same command. */
async function killedAndResumed(): Promise<void> {
  const run = copyWithoutFt('killed');
  const { root, result } = runFolder(run).phase('FT');
  const command = ['run', run, '--only', 'FT', '--quiet'];
  const child = spawn(process.execPath, [MAIN, ...command], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.on('exit', resolve));
  while (newestStep(root) === 0 && child.exitCode === null) await sleep(10);
  const step = newestStep(root);
  for (const pid of [child.pid as number, ...childrenOf(child.pid as number)]) kill(pid);
  await gone;
  const hadEnded = existsSync(result);
  const resumed = cli(command);
  const isResumed = resumed.status === 0;
  report({
    section: SECTION,
    check: 'killed and resumed',
    ok: isResumed && step > 0 && !hadEnded,
    killed_after_step: step,
    of_steps: readResult(WHOLE, 'FT')?.steps,
    had_ended: hadEnded,
    seconds: resumed.seconds,
    ...(isResumed ? { weights_apart: weightsApart(WHOLE, run) } : { text: resumed.text }),
  });
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has already ended.
  }
}

/** The maximum difference between the final FT weights of two runs. */
function weightsApart(a: string, b: string): number {
  const [x, y] = [a, b].map((run) => {
    const { checkpoint } = latestCheckpoint(runFolder(run).phase('FT').root);
    if (checkpoint === undefined) throw new Error(`${run}: FT has no checkpoint`);
    return readCheckpoint(checkpoint).model;
  });
  const values = (data: Uint8Array | undefined) => new Float32Array(data?.slice().buffer ?? []);
  return largest([...x].map(([name, { data }]) => apart(values(data), values(y.get(name)?.data))));
}
