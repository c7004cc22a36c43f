/**
 * Measures the page of `watch`: its first paint, its size, and its frames while a thousand records per second arrive.
 *
 *   npm run bench -- watch [--rounds 5] [--records 1000000] [--seconds 10]
 *
 * Uses Chromium (from the PATH), with a new server and a new page in each round, for a run of two thousand records and for one of
 * `--records` records. Measures the time from the request of the page to the first paint and the first contentful paint
 * (PerformancePaintTiming), until the run's state is displayed, and until its whole history is read and drawn. A frame counts as
 * dropped if requestAnimationFrame leaves a gap of more than 50 ms; this is first measured without new records. Nothing runs on a
 * GPU.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { lockFolder } from '../src/files/folder-lock.js';
import { appendRecords, writeLongRun } from './watch/run-folder.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '10' },
  },
});
const seconds = Number(flags.seconds);

interface Server {
  readonly url: string;
  readonly process: ChildProcess;
}

const servers = new Set<ChildProcess>();
// Stops the servers if the bench fails.
process.on('exit', () => {
  for (const server of servers) server.kill();
});

async function serve(root: string): Promise<Server> {
  const process = spawn(globalThis.process.execPath, [main, 'watch', root], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  servers.add(process);
  const [text] = await once(process.stdout, 'data');
  return { url: String(text).trim(), process };
}

async function end({ process }: Server): Promise<void> {
  process.kill('SIGINT');
  await once(process, 'exit');
  servers.delete(process);
}

interface Start {
  readonly paint: number;
  readonly contentful: number;
  readonly state: number;
  readonly whole: number;
  /** Compressed size of the page's own files in bytes. */
  readonly bytes: number;
}

/** Opens the page; times are milliseconds since its request. */
async function openPage(browser: Browser, url: string, records: number): Promise<Start & { page: Page }> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(`
    const seen = {};
    const look = () => {
      if (!seen.state && document.querySelector('tbody tr td')) seen.state = performance.now();
      if (!seen.state) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    globalThis.seen = seen;`);
  await page.goto(url);
  await page.waitForSelector('tbody tr td');
  const whole = await page.evaluate<number>(`(async () => {
    for (;;) {
      const [run] = await (await fetch('/api/runs')).json();
      if (run.phases[0].step_records === ${records} && document.querySelector('.chart canvas')) return performance.now();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })()`);
  const found = await page.evaluate<Omit<Start, 'whole'>>(`(() => {
    const paint = (name) => performance.getEntriesByName(name)[0]?.startTime ?? NaN;
    const own = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return {
      paint: paint('first-paint'),
      contentful: paint('first-contentful-paint'),
      state: globalThis.seen.state,
      bytes: own.filter(({ name }) => !name.includes('/api/')).reduce((sum, each) => sum + each.encodedBodySize, 0),
    };
  })()`);
  return { ...found, whole, page };
}

/** Gaps between frames in milliseconds, recorded for `seconds`. */
function gapsOf(page: Page): Promise<number[]> {
  return page.evaluate<number[]>(`new Promise((resolve) => {
    const gaps = [];
    const start = performance.now();
    let last = start;
    const frame = (now) => {
      gaps.push(now - last);
      last = now;
      if (now - start > ${1000 * seconds}) resolve(gaps.slice(1));
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  })`);
}

/** Appends a thousand records per second, a hundred at a time. */
async function grow(root: string): Promise<void> {
  const started = performance.now();
  for (let done = 0; done < 10 * seconds; done++) {
    appendRecords(root, 100 + 100 * done, 100);
    await sleep(Math.max(0, started + 100 * (done + 1) - performance.now()));
  }
}

function frameRow(what: string, gaps: readonly number[]): string {
  const dropped = gaps.filter((gap) => gap > 50);
  const worst = Math.max(...gaps);
  return `| ${what} | ${gaps.length} | ${dropped.length} | ${worst.toFixed(0)} ms |`;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const onPath = execFileSync(
  'sh',
  ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'],
  {
    encoding: 'utf8',
  },
).trim();

const folder = mkdtempSync(join(tmpdir(), 'bench-watch-'));
try {
  console.log(`load ${loadavg()[0].toFixed(1)} before\n`);
  console.log('| records | first paint | contentful | state there | whole history | page, compressed |');
  console.log('|---|---|---|---|---|---|');
  let long = '';
  for (const records of [2000, Number(flags.records)]) {
    long = join(folder, String(records));
    writeLongRun(long, records);
    const starts: Start[] = [];
    for (let round = 0; round < Number(flags.rounds); round++) {
      const browser = await chromium.launch({ executablePath: onPath, args: ['--no-sandbox'] });
      const server = await serve(long);
      starts.push(await openPage(browser, server.url, records));
      await browser.close();
      await end(server);
    }
    const timesOf = (key: 'paint' | 'contentful' | 'state' | 'whole') => {
      const values = starts.map((start) => start[key]);
      return `${median(values).toFixed(0)} ms (at most ${Math.max(...values).toFixed(0)})`;
    };
    console.log(
      `| ${records.toLocaleString('en-US')} | ${timesOf('paint')} | ${timesOf('contentful')} | ${timesOf('state')} | ${timesOf('whole')} | ${(starts[0].bytes / 1000).toFixed(1)} kB |`,
    );
  }
  const lock = await lockFolder(long);
  const browser = await chromium.launch({ executablePath: onPath, args: ['--no-sandbox'] });
  const server = await serve(long);
  const { page } = await openPage(browser, server.url, Number(flags.records));
  await sleep(2000);
  console.log(`\n| ${seconds} s | frames | gaps over 50 ms | longest |\n|---|---|---|---|`);
  console.log(frameRow('nothing new', await gapsOf(page)));
  const [gaps] = await Promise.all([gapsOf(page), grow(long)]);
  console.log(frameRow('1,000 records a second', gaps));
  await browser.close();
  await end(server);
  lock.release();
  console.log(`\nload ${loadavg()[0].toFixed(1)} after`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
