import fc from 'fast-check';

// The same cases in every run, so that a commit that passed passes again. To search with other cases:
// DEEP_INCUBATION_FAST_CHECK_SEED=$RANDOM DEEP_INCUBATION_FAST_CHECK_RUNS=2000 npm test -- src/data
const { DEEP_INCUBATION_FAST_CHECK_SEED: seed = '1', DEEP_INCUBATION_FAST_CHECK_RUNS: runs = '100' } =
  process.env;
fc.configureGlobal({ seed: Number(seed), numRuns: Number(runs) });
