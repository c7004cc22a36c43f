/**
 * Kills a run's processes at random times, and checks that the run ends with the same result as without kills.
 *
 *   npm run bench -- kill [--kills 200] [--seed 0] [--width 16] [--epochs 10] [--work FOLDER]
 *
 * One run of a tiny recipe is not disturbed. Further runs are killed (SIGKILL to a phase, to the supervisor, or to all) and
 * resumed, until the number of kills is reached. The weights, optimiser state, metrics, results and summary of each run must be
 * identical, except for values that depend on the clock. With --width 384, checkpoints are written while the model trains. If the
 * bench itself is stopped, it resumes with the same --work. Writes bench/results/kill.json and kill.md.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomStream } from '../src/base/random.js';
import { type Kill, killRepeatedly } from './kill/kill-repeatedly.js';
import { type Round, resultTable } from './kill/table.js';
import { writeTinyRun } from './kill/tiny.js';
import { differences, traceOf } from './kill/trace.js';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

/** Maximum kills per phase in one run, so that kills also reach the last phases. */
const KILLS_PER_PHASE = 3;
const LONGEST_MS = 5000;

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '0' },
    width: { type: 'string', default: '16' },
    epochs: { type: 'string', default: '10' },
    work: { type: 'string' },
  },
});
const work = flags.work ?? join(tmpdir(), `deep-incubation-kill-${flags.seed}`);
const wanted = Number(flags.kills);

async function bench(): Promise<void> {
  mkdirSync(work, { recursive: true });
  const recipe = join(work, 'recipe.json');
  if (!existsSync(recipe))
    await writeTinyRun(work, { width: Number(flags.width), epochs: Number(flags.epochs) });
  const reference = join(work, 'reference');
  await killRepeatedly({ ...settings(recipe, reference, 0), kills: 0 });
  const expected = traceOf(reference);

  const rounds = readLines<Round>('rounds.jsonl');
  const done = () => rounds.reduce((sum, { kills }) => sum + kills.length, 0);
  while (done() < wanted) {
    const round = rounds.length;
    const runDir = join(work, `round-${round}`);
    const log = `kills-${round}.jsonl`;
    // Kills from a bench that was stopped in this round.
    const before = readLines<Kill>(log);
    await killRepeatedly({
      ...settings(recipe, runDir, round * 1000 + before.length),
      kills: Math.max(0, wanted - done() - before.length),
      onKill: (kill) => append(log, kill),
    });
    const finished = { kills: readLines<Kill>(log), different: differences(expected, traceOf(runDir)) };
    append('rounds.jsonl', finished);
    rounds.push(finished);
    const verdict =
      finished.different.length === 0 ? 'identical' : `DIFFERS: ${finished.different.join(', ')}`;
    process.stderr.write(
      `run ${round + 1}: ${finished.kills.length} kills, ${verdict} (${done()}/${wanted})\n`,
    );
  }

  const table = resultTable(rounds);
  writeResults('kill', table, { seed: Number(flags.seed), rounds });
  process.stdout.write(table);
  if (rounds.some(({ different }) => different.length > 0)) process.exitCode = 1;
}

/** @param key random key for the times and targets of the kills */
function settings(recipe: string, runDir: string, key: number) {
  return {
    runDir,
    start: () => start(recipe, runDir),
    killsPerPhase: KILLS_PER_PHASE,
    random: randomStream(['kill', Number(flags.seed), key]),
    longestMs: LONGEST_MS,
  };
}

function start(recipe: string, runDir: string) {
  const child = spawn(process.execPath, [main, 'run', recipe, '--out', runDir], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-8000);
  });
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve({ code, stderr }));
  });
  return { process: child, ended };
}

function readLines<T>(name: string): T[] {
  const path = join(work, name);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

function append(name: string, value: object): void {
  appendFileSync(join(work, name), `${JSON.stringify(value)}\n`);
}

await bench();
