import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { InputError, RunError } from '../../base/errors.js';
import { exitCodeOf, explain, Stopped } from './failure.js';

test('exit codes: 2 for invalid input, 1 for failures, 128 + N for signals', () => {
  expect(exitCodeOf(new InputError('x'))).toBe(2);
  expect(exitCodeOf(new RunError('x'))).toBe(1);
  expect(exitCodeOf(new TypeError('x'))).toBe(1);
  expect(exitCodeOf(new Stopped('x', { exitCode: 143 }))).toBe(143);
  expect(exitCodeOf(new CommanderError(1, 'commander.unknownOption', 'x'))).toBe(2);
  expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', 'x'))).toBe(0);
});

test('a stack is shown only for a defect, and only on request', () => {
  const debug = { DEEP_INCUBATION_DEBUG: '1' };
  expect(explain(new InputError('no such file', { hint: 'look' }), debug)).toBe(
    'error: no such file\n  hint: look\n',
  );
  expect(explain(new RunError('lost'), debug)).toBe('error: lost\n');
  expect(explain(new TypeError('x is undefined'), {})).not.toContain('failure.test');
  expect(explain(new TypeError('x is undefined'), debug)).toMatch(/^error: x is undefined\n.*failure\.test/s);
  expect(explain('thrown text', {})).toMatch(/^error: thrown text\n/);
});

test('text from files cannot control the terminal', () => {
  const error = new InputError('x.tar: unknown key \u001b]0;evil\u0007\u009b2J', { hint: 'one\n\ttwo\r' });
  expect(explain(error, {})).toBe(
    'error: x.tar: unknown key \\u001b]0;evil\\u0007\\u009b2J\n  hint: one\n\ttwo\\u000d\n',
  );
});
