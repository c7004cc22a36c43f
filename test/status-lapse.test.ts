import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRunStatus } from '../src/report/run-status.js';
import { newestStep } from '../src/run/checkpoint-store.js';
import { readStatus } from '../src/run/phase-status.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

// The output of `status` at each stage of a run in which a module dies until it is no longer restarted. STATUS_LAPSE=FILE
// keeps the frames for docs/cluster.md.

const folder = temporaryFolder();
const run = join(folder, 'demo');
const frames: string[] = [];

async function frame(title: string): Promise<string> {
  const { code, stdout, stderr } = await cli(['status', run]);
  expect([code, stderr]).toEqual([0, '']);
  frames.push(`# ${title}\n${stdout.replaceAll(`${folder}/`, 'runs/')}`);
  return stdout;
}

const stateOf = (phase: string) =>
  existsSync(join(run, 'recipe.json')) &&
  readRunStatus(run).phases.find((each) => each.phase === phase)?.state;
const is = (phase: string, state: string) => until(() => stateOf(phase) === state, `${phase} ${state}`);

/** Kills the phase's process, as the kernel does when memory runs out. */
async function killed(phase: string): Promise<void> {
  await until(() => readStatus(run, phase).pid !== null, `a process of ${phase}`);
  process.kill(readStatus(run, phase).pid as number, 'SIGKILL');
  await until(() => ['restarting', 'failed'].includes(readStatus(run, phase).state), 'its end');
}

test('status shows the state of a run at every moment, and what to do', async () => {
  const images = join(folder, 'images');
  await writeImages(images, { train: 16, val: 8 });
  const recipe = join(folder, 'demo.json');
  const phases = { PT: { epochs: 250 }, MT: { epochs: 750, eval_every: 50 }, FT: { epochs: 2 } };
  const tiny = { ...tinyRecipe(images), name: 'demo', phases };
  const together = { run: { device: 'cpu', threads: 1, parallel: 2 } };
  writeFileSync(recipe, JSON.stringify({ ...tiny, ...together }));
  const training = start(['run', recipe, '--out', run]);

  await is('PT', 'running');
  await until(() => jsonLines(join(run, 'PT/metrics.jsonl')).length > 50, 'steps of PT');
  const first = await frame('the meta model trains, the modules wait for it');
  expect(first).toMatch(/^demo {2}running, 0 of 4 phases done/);
  expect(first).toMatch(/^PT +running .* process \d+ on /m);
  expect(first).toMatch(/^MT\/1 +waiting .* after PT$/m);
  expect(first).not.toMatch(/to do|deep-incubation run/);

  await is('MT/0', 'running');
  await until(() => newestStep(join(run, 'MT/1')) > 0, 'a checkpoint of MT/1');
  const second = await frame('the modules train beside one another');
  expect(second).toMatch(
    /^MT\/0 +running [\s\S]*^MT\/1 +running [\s\S]*^FT +waiting .* after MT\/0, MT\/1$/m,
  );

  // MT/0 must not finish during this time.
  const other = readStatus(run, 'MT/0').pid as number;
  process.kill(other, 'SIGSTOP');
  // Each pause is twice as long as the previous one: the third leaves time for a look.
  for (let death = 0; death < 3; death++) await killed('MT/1');
  const third = await frame('the process of MT/1 was killed three times');
  expect(third).toMatch(/^MT\/1 restarting: died of SIGKILL/m);
  expect(third).toMatch(
    /^ {2}to do {2}nothing: in [1-4] s it resumes from its checkpoint of step [\d,]+ automatically$/m,
  );

  process.kill(other, 'SIGCONT');
  await killed('MT/1');
  expect((await training.ended).code).toBe(1);
  const fourth = await frame('four times: it is not started again');
  expect(fourth).toMatch(/^demo {2}failed, 1 of 4 phases done/);
  expect(fourth).toMatch(
    /^MT\/1 failed: died of SIGKILL.*; 4 times in a row without a new checkpoint\n {2}log {4}\S+\/MT\/1\/log.txt\n {2}to do {2}see its log; then run again: it resumes from its checkpoint of step [\d,]+$/m,
  );
  expect(fourth).toMatch(/^MT\/0 stopped: MT\/1 failed$/m);
  const [, command] = /^No phase is running\. To resume: npx deep-incubation (.*)$/m.exec(fourth) ?? [];
  expect(command).toBe(`run ${run}`);

  const again = start(command.split(' '));
  await is('MT/1', 'running');
  const fifth = await frame('the same command');
  expect(fifth).toMatch(/^MT\/1 +running/m);
  expect(fifth).not.toMatch(/to do|deep-incubation run/);

  expect((await again.ended).code).toBe(0);
  const last = await frame('all is done');
  expect(last).toMatch(/^demo {2}done, 4 of 4 phases done/);
  expect(last).toMatch(new RegExp(`^Report: ${join(run, 'report/index.html')}$`, 'm'));
  if (process.env.STATUS_LAPSE !== undefined) writeFileSync(process.env.STATUS_LAPSE, frames.join('\n'));
});
