/**
 * @typedef {object} TestOptions
 * @property {boolean} ci        CI is set: a test that must run and is skipped is a failure
 * @property {boolean} install   system packages may be installed
 * @property {boolean} provide   Python packages and Node versions may be fetched into the cache
 * @property {boolean} allNodes  run the tests of the addon and the command line with every supported Node
 * @property {string[]} vitest   filters and flags of vitest
 */

/**
 * The arguments of `npm test`: its own flags; all others are passed to vitest.
 *
 * System packages change the machine, so without CI they are installed only when asked for. What goes into the project's
 * own cache is fetched unless `--no-install` is given.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {TestOptions}
 */
export function testOptions(args, env) {
  const ci = !['', '0', 'false'].includes((env.CI ?? '').toLowerCase());
  const vitest = args.filter((arg) => !OWN.includes(arg));
  const refuses = args.includes('--no-install');
  return {
    ci,
    install: (ci || args.includes('--install')) && !refuses,
    provide: !refuses,
    allNodes: args.includes('--all-nodes') || (ci && vitest.length === 0),
    vitest,
  };
}

const OWN = ['--install', '--no-install', '--all-nodes'];
