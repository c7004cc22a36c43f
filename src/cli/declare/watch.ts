import { type Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addWatch(program: Command): void {
  program
    .command('watch')
    .summary('follow runs in a browser')
    .description(
      'Serves a page that follows runs, going on or over: phases, curves, throughput, logs, recipes. It only reads.\n' +
        'It listens on 127.0.0.1; with another --host a token is needed, which the printed address carries.',
    )
    .argument('<run...>', 'folders of runs; several are compared')
    .option('--port <n>', 'port to listen at; one that is free by default', port)
    .option('--host <address>', 'address to listen at', '127.0.0.1')
    .option('--token <text>', 'ask for this token, 16 characters or more, instead of a random one', token)
    .addHelpText(
      'after',
      examples(
        ['deep-incubation watch runs/demo', 'prints an address to open'],
        ['deep-incubation watch runs/a runs/b', 'compares two runs'],
        ['deep-incubation watch runs/demo --host 0.0.0.0', 'for other machines, with a token'],
      ),
    )
    .action(async (runs, options) => (await import('../commands/watch.js')).watch(runs, options));
}

function port(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) < 65_536) return Number(value);
  throw new InvalidArgumentError('Expected a port, 0 to 65535.');
}

function token(value: string): string {
  if (/^[\x21-\x7e]{16,256}$/.test(value)) return value;
  throw new InvalidArgumentError('Expected 16 to 256 printable characters without spaces.');
}
