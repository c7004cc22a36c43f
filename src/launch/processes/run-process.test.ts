import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { needs, proc } from '../../../test/needs.js';
import { transpileInto } from '../../../test/transpiled.js';
import { type ProcessOptions, runProcess } from './ranks.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a script, in which `at(name)` is a path in the folder. */
function run(script: string, options: Partial<ProcessOptions> = {}) {
  return runProcess([process.execPath, '--input-type=module', '-e', script], {
    env: { ...process.env, FOLDER: folder },
    ...options,
  });
}

const at = (name: string) => join(folder, name);
const FOREVER = 'setInterval(() => {}, 1000);';
const SPIN = 'for (const end = Date.now() + 60_000; Date.now() < end; );';
/** Looks often, and waits for only a fraction of a second. */
const QUICK = { lookMs: 50, idleMs: 800 };

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 1000) throw new Error('timed out');
    await sleep(20);
  }
}

test('how a process ended: code, messages, the end of stderr', async () => {
  const messages: unknown[] = [];
  const ending = await run(
    `process.send({ type: 'progress', doing: 'training' });
     process.send({ type: 'failed', why: 1 });
     console.error('x'.repeat(40_000) + 'the end');
     process.exitCode = 3;
     process.disconnect();`,
    { onMessage: (message) => messages.push(message) },
  );
  expect(ending).toMatchObject({ code: 3, signal: null, killedFor: undefined });
  expect(ending.stderr).toMatch(/^x+the end\n$/);
  expect(ending.stderr).toHaveLength(16_000);
  expect(messages).toEqual([{ type: 'failed', why: 1 }]);
});

test('a missing program is reported as an ending', async () => {
  const { code, signal, notStarted } = await runProcess([at('none')], { env: {} });
  expect({ code, signal }).toEqual({ code: null, signal: null });
  expect(notStarted).toContain('ENOENT');
});

test('a signal also ends the processes that the process had started', async () => {
  const ending = await run(`
    import { spawn } from 'node:child_process';
    import { writeFileSync } from 'node:fs';
    const child = spawn('sleep', ['1000'], { stdio: ['ignore', 'inherit', 'inherit'] });
    writeFileSync(process.env.FOLDER + '/pid', String(child.pid));
    process.kill(process.pid, 'SIGSEGV');`);
  expect(ending.signal).toBe('SIGSEGV');
  const pid = Number(readFileSync(at('pid'), 'utf8'));
  await until(() => !isAlive(pid));
});

describe('asked to stop', () => {
  const stopAfterStart = (script: string, options: Partial<ProcessOptions> = {}) => {
    const stop = new AbortController();
    const onMessage = () => stop.abort();
    return run(`${script}; process.send('ready');`, { signal: stop.signal, onMessage, ...options });
  };

  test('it stops', async () => {
    const ending = await stopAfterStart(
      `process.on('SIGTERM', () => { process.exitCode = 7; process.disconnect(); }); process.on('disconnect', () => {})`,
    );
    expect(ending).toMatchObject({ code: 7, signal: null, killedFor: undefined });
  });

  test('it does not stop: it is killed', async () => {
    const ending = await stopAfterStart(`process.on('SIGTERM', () => {}); ${FOREVER}`, {
      timing: { graceMs: 300 },
    });
    expect(ending).toMatchObject({
      signal: 'SIGKILL',
      killedFor: expect.stringMatching(/^it did not exit/),
    });
  });

  test('before it was started: it ends at once', async () => {
    const ending = await run(FOREVER, { signal: AbortSignal.abort() });
    expect(ending.signal).toBe('SIGTERM');
  });
});

describe('hung', needs(proc), () => {
  test('a process that waits for nothing', async () => {
    const { signal, killedFor } = await run(FOREVER, { timing: QUICK });
    expect({ signal, killedFor }).toEqual({
      signal: 'SIGKILL',
      killedFor: expect.stringMatching(/^it was idle for 0\.\d+ s$/),
    });
  });

  test('a process that was stopped', async () => {
    const { killedFor } = await run(`process.kill(process.pid, 'SIGSTOP');`, { timing: QUICK });
    expect(killedFor).toMatch(/^it was stopped for/);
  });

  test('not a process that computes with its event loop blocked', async () => {
    const { code, killedFor } = await run(SPIN.replace('60_000', '2000'), { timing: QUICK });
    expect({ code, killedFor }).toEqual({ code: 0, killedFor: undefined });
  });

  test('but a process that computes and completes no step', async () => {
    const progress = `process.send({ type: 'progress', doing: 'training' });`;
    const steps = `for (let i = 0; i < 12; i++) { ${progress} await new Promise((r) => setTimeout(r, 5)); }`;
    const { killedFor } = await run(`${steps} ${SPIN}`, { timing: { lookMs: 50, stuckMs: 1000 } });
    expect(killedFor).toMatch(/^no step in/);
  });
});

describe('the parent has exited', () => {
  /** A parent whose child guards itself and runs `work`. */
  async function orphan(work: string): Promise<{ parent: ChildProcess; child: number }> {
    const guard = transpileInto(at('.'), new URL('orphan-guard.ts', import.meta.url));
    writeFileSync(
      at('child.mjs'),
      `import { endWithParent } from '${guard}';
       import { writeFileSync } from 'node:fs';
       endWithParent({ lookMs: 50, graceMs: 300 });
       setTimeout(() => { writeFileSync('${at('child')}', String(process.pid)); ${work} }, 300);`,
    );
    writeFileSync(
      at('parent.mjs'),
      `import { spawn } from 'node:child_process';
       spawn(process.execPath, ['${at('child.mjs')}'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], detached: true });
       ${FOREVER}`,
    );
    const parent = spawn(process.execPath, [at('parent.mjs')], { stdio: 'inherit' });
    await until(() => existsSync(at('child')) && readFileSync(at('child'), 'utf8') !== '');
    return { parent, child: Number(readFileSync(at('child'), 'utf8')) };
  }

  test.each([
    ['waits', FOREVER],
    ['computes', SPIN],
  ])('a child that %s ends', async (_, work) => {
    const { parent, child } = await orphan(work);
    expect(isAlive(child)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !isAlive(child));
  });
});
