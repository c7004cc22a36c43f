import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { compile } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';
import { shareOf } from './pipeline.js';

/** How the six modules of a recipe share a machine. */
function share(run: object, machine: { cores: number; gpus: number }, together = false) {
  const recipe = defineRecipe({
    name: 'test',
    model: { preset: 'vit-tiny' },
    incubation: { modules: 6, together },
    data: { format: 'folder' },
    run,
  });
  const { atATime, teams, ofSlot, whole } = shareOf(recipe.run, compile(recipe), machine);
  const slots = Array.from({ length: atATime }, (_, slot) => ofSlot(slot));
  return {
    atATime,
    teams,
    whole,
    devices: slots.map(({ device }) => device),
    threads: slots[0].threads,
    ranks: slots.map(({ firstLocalRank }) => firstLocalRank),
  };
}

const SERVER = { cores: 16, gpus: 4 };
const LAPTOP = { cores: 8, gpus: 0 };

test.each(['auto', 'cuda'])('device %s: a module on each GPU, no more', (device) => {
  const { atATime, devices, threads, whole } = share({ device }, SERVER);
  expect(devices).toEqual(['cuda:0', 'cuda:1', 'cuda:2', 'cuda:3']);
  expect({ atATime, threads }).toEqual({ atATime: 4, threads: 4 });
  expect(whole).toEqual({ ranks: 1, firstLocalRank: 0, threads: 16, device });
  expect(share({ device }, { cores: 16, gpus: 1 })).toMatchObject({ atATime: 1, devices: ['cuda:0'] });
});

test('device cuda:2: one module at a time, on that GPU', () => {
  expect(share({ device: 'cuda:2' }, SERVER)).toMatchObject({ atATime: 1, devices: ['cuda:2'], threads: 16 });
});

test.each(['auto', 'cuda'])('device %s, modules together: a team for each GPU', (device) => {
  expect(share({ device }, SERVER, true)).toMatchObject({ atATime: 4, teams: 4 });
  expect(share({ device: 'cuda:1' }, SERVER, true)).toMatchObject({ atATime: 1, teams: 1 });
});

test.each(['auto', 'cuda'])('device %s, two processes a phase: pairs of GPUs', (device) => {
  const { atATime, devices, ranks } = share({ device, ranks: 2 }, SERVER);
  expect(atATime).toBe(2);
  // Each process takes the GPU of its rank on this machine.
  expect(devices).toEqual([device, device]);
  expect(ranks).toEqual([0, 2]);
});

test('a number of phases at a time is kept: GPUs are shared', () => {
  const run = { parallel: 3 };
  expect(share({ ...run, device: 'cuda' }, { cores: 16, gpus: 2 }).devices).toEqual([
    'cuda:0',
    'cuda:1',
    'cuda:0',
  ]);
  expect(share({ ...run, device: 'cuda:1' }, SERVER).devices).toEqual(['cuda:1', 'cuda:1', 'cuda:1']);
});

test.each([
  ['cpu', SERVER],
  ['auto', LAPTOP],
])('device %s, no GPU in use: cores are shared', (device, machine) => {
  const { atATime, devices, threads } = share({ device }, { ...machine, cores: 8 });
  expect({ atATime, threads }).toEqual({ atATime: 6, threads: 1 });
  expect(new Set(devices)).toEqual(new Set([device]));
});

test.each([
  [{ device: 'cuda' }, LAPTOP, 'run.device cuda: libtorch found no GPU'],
  [{ device: 'cuda:0' }, LAPTOP, 'run.device cuda:0: libtorch found no GPU'],
  [{ device: 'cuda:4' }, SERVER, 'run.device cuda:4: libtorch found 4 GPUs'],
  [{ device: 'cuda:1' }, { cores: 2, gpus: 1 }, 'run.device cuda:1: libtorch found 1 GPU'],
  [{ device: 'cuda', ranks: 5 }, SERVER, 'run.ranks 5: this machine has 4 GPUs'],
  [{ device: 'auto', ranks: 5 }, SERVER, 'run.ranks 5: this machine has 4 GPUs'],
  [{ device: 'cuda:1', ranks: 2 }, SERVER, 'run.ranks 2: run.device cuda:1 is only one GPU'],
])('%j on %j is refused before anything starts', (run, machine, message) => {
  expect(() => share(run, machine)).toThrow(InputError);
  expect(() => share(run, machine)).toThrow(message);
});
