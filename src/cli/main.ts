#!/usr/bin/env node
import { InputError } from '../base/errors.js';
import { tooManyOpen } from '../files/file-errors.js';
import { expandHomeInArguments } from '../files/home.js';
import { createProgram } from './declare/program.js';
import { exitCodeOf, explain } from './terminal/failure.js';
import { escapeText } from './terminal/output.js';

for (const stream of [process.stdout, process.stderr]) escapeText(stream);

// A closed pipe (`| head`) is not a failure, and a closed terminal must not end a run.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});
process.stderr.on('error', () => {});

try {
  const given = process.argv.slice(2);
  const empty = given.indexOf('');
  if (empty >= 0) {
    const before = empty === 0 ? 'the first argument' : `the argument after ${given[empty - 1]}`;
    throw new InputError(`${before} is empty`, { hint: 'is a variable of the shell not set?' });
  }
  await createProgram().parseAsync(expandHomeInArguments(given), { from: 'user' });
} catch (thrown) {
  const error = tooManyOpen(thrown) ?? thrown;
  process.stderr.write(explain(error, process.env));
  process.exitCode = exitCodeOf(error);
}
