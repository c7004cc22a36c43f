#!/usr/bin/env node
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
  await createProgram().parseAsync(expandHomeInArguments(process.argv.slice(2)), { from: 'user' });
} catch (thrown) {
  const error = tooManyOpen(thrown) ?? thrown;
  process.stderr.write(explain(error, process.env));
  process.exitCode = exitCodeOf(error);
}
