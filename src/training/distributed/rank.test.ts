import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { rankIn, timeoutIn } from './rank.js';

const TORCHRUN = { RANK: '1', WORLD_SIZE: '4', LOCAL_RANK: '1', MASTER_ADDR: 'node7', MASTER_PORT: '1234' };

test('torchrun names a rank', () => {
  const rank = { rank: 1, size: 4, localRank: 1, host: 'node7', port: 1234, serves: false };
  expect(rankIn(TORCHRUN)).toEqual(rank);
  expect(rankIn({ ...TORCHRUN, RANK: '0' })).toMatchObject({ rank: 0, serves: true });
});

test("torchrun's own store is used if it has opened one", () => {
  expect(rankIn({ ...TORCHRUN, RANK: '0', TORCHELASTIC_USE_AGENT_STORE: 'True' })).toMatchObject({
    serves: false,
  });
});

test.each([
  ['Open MPI', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'],
  ['MPICH', 'PMI_RANK', 'PMI_SIZE', 'MPI_LOCALRANKID'],
  ['Slurm', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'],
])('%s names a rank if MASTER_ADDR is set', (_, rank, size, localRank) => {
  const env = { [rank]: '5', [size]: '8', [localRank]: '1' };
  expect(rankIn({ ...env, MASTER_ADDR: 'node0' })).toEqual({
    rank: 5,
    size: 8,
    localRank: 1,
    host: 'node0',
    port: 29500,
    serves: false,
  });
  expect(rankIn(env)).toBeUndefined();
});

test('mpirun within a Slurm job: its ranks, not those of the batch script', () => {
  const slurm = { SLURM_PROCID: '0', SLURM_NTASKS: '1', SLURM_LOCALID: '0' };
  const mpi = { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '1' };
  expect(rankIn({ ...slurm, ...mpi, MASTER_ADDR: 'localhost' })).toMatchObject({ rank: 1, size: 2 });
});

test('a single process has no group', () => {
  expect(rankIn({})).toBeUndefined();
  expect(rankIn({ ...TORCHRUN, RANK: '0', WORLD_SIZE: '1' })).toBeUndefined();
  expect(rankIn({ MASTER_ADDR: 'node0', MASTER_PORT: '29500' })).toBeUndefined();
});

test.each([
  ['WORLD_SIZE', undefined, 'not WORLD_SIZE'],
  ['RANK', undefined, 'not RANK'],
  ['MASTER_ADDR', undefined, 'not MASTER_ADDR'],
  ['MASTER_ADDR', '', 'not MASTER_ADDR'],
  ['RANK', '4', 'RANK is 4, but must be an integer in 0 ... 3'],
  ['RANK', '-1', 'RANK is -1'],
  ['RANK', '1.5', 'RANK is 1.5'],
  ['WORLD_SIZE', '0', 'WORLD_SIZE is 0, but must be an integer from 1'],
  ['WORLD_SIZE', 'four', 'WORLD_SIZE is four'],
  ['LOCAL_RANK', 'x', 'LOCAL_RANK is x'],
  ['MASTER_PORT', '65536', 'MASTER_PORT is 65536, but must be an integer in 1 ... 65535'],
])('%s %s is refused', (name, value, message) => {
  const refused = () => rankIn({ ...TORCHRUN, [name]: value });
  expect(refused).toThrow(InputError);
  expect(refused).toThrow(message);
});

test('LOCAL_RANK and MASTER_PORT may be left out', () => {
  expect(rankIn({ RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: 'node0' })).toMatchObject({
    localRank: 0,
    port: 29500,
  });
});

test('the timeout: seconds that c10d can wait for; an invalid one is not the launcher’s error', () => {
  const timeout = (DEEP_INCUBATION_RANK_TIMEOUT: string) => timeoutIn({ DEEP_INCUBATION_RANK_TIMEOUT });
  expect(timeoutIn({})).toBe(600);
  expect(timeout('2000000')).toBe(2_000_000);
  for (const text of ['0', 'abc', '-1', '1e3', '9999999999']) {
    expect(() => timeout(text)).toThrow(
      expect.objectContaining({
        message: `the environment variable DEEP_INCUBATION_RANK_TIMEOUT is ${text}, but must be an integer in 1 ... 2000000`,
        hint: 'it is the time in seconds that the processes of a phase wait for each other; unset it for the default of 600',
      }),
    );
  }
});
