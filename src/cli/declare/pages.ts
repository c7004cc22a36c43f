import { type Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

/** Commands that show a run on a page, or in another program. */
export function addPages(program: Command): void {
  addReport(program);
  addWatch(program);
  addTrack(program);
}

function addReport(program: Command): void {
  program
    .command('report')
    .summary('write the report of a run')
    .description('Writes report/index.html of a run, finished or not: one self-contained page.')
    .argument(
      '<run...>',
      'folders of runs or of a sweep, or a folder that contains runs; with several runs, each page compares all of them',
    )
    .addHelpText(
      'after',
      examples(
        ['deep-incubation report runs/demo', 'writes runs/demo/report/index.html'],
        [
          'deep-incubation report runs/all runs/half runs/quarter',
          'comparison, with accuracy against data.fraction',
        ],
      ),
    )
    .action(async (runs) => (await import('../commands/report.js')).report(runs));
}

function addWatch(program: Command): void {
  program
    .command('watch')
    .summary('watch runs in a browser')
    .description(
      'Serves a page with the phases, curves, throughput, logs and recipes of runs, updated while they train. Read-only.\n' +
        'Listens on 127.0.0.1. With another --host, a token is required; it is part of the printed address.',
    )
    .argument('<run...>', 'folders of runs or of a sweep; with several runs, the page can compare them')
    .option('--port <n>', 'port to listen on (default: a free port)', port)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--token <text>', 'use this token, 16 characters or more, instead of a random one', token)
    .addHelpText(
      'after',
      examples(
        ['deep-incubation watch runs/demo', 'prints an address to open'],
        ['deep-incubation watch runs/a runs/b', 'compare two runs'],
        ['deep-incubation watch runs/demo --host 0.0.0.0', 'reachable from other machines, with a token'],
      ),
    )
    .action(async (runs, options) => (await import('../commands/watch.js')).watch(runs, options));
}

function addTrack(program: Command): void {
  program
    .command('track')
    .summary('send the metrics of a run to MLflow or Trackio')
    .description(
      'Sends the records of metrics.jsonl that the tracker does not have, with the recipe and the state of the run. Repeated, it ' +
        'continues the same run of the tracker. While `run` trains a recipe with run.mlflow or run.trackio, it does this itself. ' +
        'Credentials come from the environment: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD; TRACKIO_WRITE_TOKEN.',
    )
    .argument('<run>', 'folder of the run, finished or not')
    .option(
      '--mlflow <url>',
      "an MLflow server (default: the recipe's, or the one that has records of the run)",
    )
    .option('--trackio <url>', 'a Trackio server (default: as for --mlflow)')
    .option('--experiment <name>', "MLflow's experiment, Trackio's project (default: the name of the recipe)")
    .option('--follow', 'go on until the run is done')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation track runs/demo --mlflow http://localhost:5000', 'once'],
        ['deep-incubation track runs/demo --follow', 'beside a run on a cluster'],
      ),
    )
    .action(async (run, options) => (await import('../commands/track.js')).track(run, options));
}

function port(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) < 65_536) return Number(value);
  throw new InvalidArgumentError('Expected a port from 0 to 65535.');
}

function token(value: string): string {
  if (/^[\x21-\x7e]{16,256}$/.test(value)) return value;
  throw new InvalidArgumentError('Expected 16 to 256 printable characters without spaces.');
}
