#!/usr/bin/env node
/**
 * Makes the pictures in docs/pictures from a real run: the short demo of docs/get-started.md, and its FT phase with a
 * learning rate so high that it fails. Needs Chromium and `script` (util-linux), and `npm run build` before it.
 *
 *   npm run pictures [-- FOLDER]   FOLDER keeps the runs; with finished runs in it, only pictures of finished runs are made again
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { firstOnPath } from './lib/exec.mjs';
import { main, SetupError } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { screenOf, svgOf, textOf } from './lib/terminal-picture.mjs';

const SHORT = [
  'model.depth=32',
  'data.eval_images=1000',
  'phases.PT.epochs=0.3',
  'phases.MT.epochs=0.04',
  'phases.FT.epochs=0.06',
];
const pictures = join(root, 'docs/pictures');
const program = join(root, 'dist/cli/main.js');

await main(async () => {
  const executablePath = firstOnPath(['chromium', 'chromium-browser', 'google-chrome'], process.env);
  if (executablePath === undefined) throw new SetupError('Chromium was not found on the PATH.');
  const folder = resolve(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'deep-incubation-pictures-')));
  mkdirSync(join(folder, 'runs'), { recursive: true });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    if (!existsSync(join(folder, 'runs/short/summary.json'))) await takeRunning(browser, folder);
    await takeFinished(browser, folder);
    await takeFailed(browser, folder);
  } finally {
    await browser.close();
  }
  console.log(`pictures are in ${pictures}, the runs in ${folder}`);
  return 0;
});

/** @typedef {import('playwright-core').Browser} Browser */

/** The run while it trains, in the terminal and on the page; at its end the table. @param {Browser} browser @param {string} folder */
async function takeRunning(browser, folder) {
  const run = inTerminal(folder, [
    'run',
    join(root, 'recipes/demo.yaml'),
    '--out',
    'runs/short',
    ...SHORT.flatMap((setting) => ['--set', setting]),
  ]);
  const isTime = () => {
    const metrics = join(folder, 'runs/short/MT/2/metrics.jsonl');
    return existsSync(metrics) && readFileSync(metrics, 'utf8').split('\n').length > 3;
  };
  await Promise.race([run.ended, until(isTime)]);
  const screen = screenOf(run.output());
  const first = screen.findIndex((row) => textOf(row).startsWith('✓'));
  const last = screen.findLastIndex((row) => textOf(row).trim() !== '');
  writeSvg('terminal-run.svg', screen.slice(first, last + 1), 'The terminal while phases train');
  const phases = processesOf(join(folder, 'runs/short'));
  for (const pid of phases) process.kill(pid, 'SIGSTOP'); // so that the page is of the same moment
  const watch = await served(folder, 'runs/short');
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 1250 } });
    await page.goto(watch.url);
    await page.waitForSelector('.chart canvas');
    await page.waitForTimeout(1000);
    await save(await page.screenshot(), 'watch-running.png');
    await page.close();
  } finally {
    watch.stop();
    for (const pid of phases) process.kill(pid, 'SIGCONT');
  }
  await run.ended;
  const end = screenOf(run.output());
  const table = end.findIndex((row) => /^phase +steps/.test(textOf(row)));
  const bottom = end.findLastIndex((row) => textOf(row).trim() !== '');
  writeSvg('terminal-summary.svg', end.slice(table, bottom + 1), 'The table at the end of a run');
}

/** The last evaluation on the page, on a desktop and on a phone, and the report. @param {Browser} browser @param {string} folder */
async function takeFinished(browser, folder) {
  const watch = await served(folder, 'runs/short');
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 950 } });
    await page.goto(watch.url);
    await page.getByLabel('Phase of the evaluation').selectOption('FT');
    await page.locator('#evaluation').evaluate((heading) => heading.scrollIntoView());
    await page.mouse.wheel(0, -110); // the page's own header covers the top
    await page.waitForTimeout(1000);
    await save(await page.screenshot(), 'watch-evaluation.png');
    await page.close();
  } finally {
    watch.stop();
  }
  const page = await browser.newPage({ viewport: { width: 1120, height: 940 } });
  await page.goto(`file://${join(folder, 'runs/short/report/index.html')}`);
  await save(await page.screenshot(), 'report.png');
  await page.close();
}

/** A phase that failed, on a desktop and on a phone. @param {Browser} browser @param {string} folder */
async function takeFailed(browser, folder) {
  const failed = join(folder, 'runs/failed');
  if (!existsSync(failed)) {
    cpSync(join(folder, 'runs/short'), failed, { recursive: true });
    const redo = ['redo', 'runs/failed', 'FT', '--set', 'phases.FT.optimizer.lr=1e6'];
    await inTerminal(folder, redo).ended;
  }
  const watch = await served(folder, 'runs/failed');
  try {
    for (const [name, width, height] of /** @type {const} */ ([
      ['watch-failed.png', 1200, 950],
      ['watch-phone.png', 390, 1000],
    ])) {
      const page = await browser.newPage({ viewport: { width, height }, colorScheme: 'dark' });
      await page.goto(watch.url);
      await page.waitForSelector('.chart canvas');
      await page.waitForTimeout(1000);
      await save(await page.screenshot(), name);
      await page.close();
    }
  } finally {
    watch.stop();
  }
}

/** Runs our program in a terminal of 104 columns. @param {string} cwd @param {string[]} args */
function inTerminal(cwd, args) {
  const words = [process.execPath, program, ...args].map((word) => `'${word}'`).join(' ');
  const command = `stty rows 40 cols 104; exec ${words}`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const ended = new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', done);
  });
  return { output: () => output, ended };
}

/** `watch` of a run, and the address that it prints. @param {string} cwd @param {string} run */
async function served(cwd, run) {
  const child = spawn(process.execPath, [program, 'watch', run], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  /** @type {string} */
  const url = await new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', () => fail(new SetupError('`watch` exited.')));
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more) => {
      text += more;
      const found = /http:\S+/.exec(text);
      if (found) done(found[0]);
    });
  });
  return { url, stop: () => child.kill('SIGTERM') };
}

/** @param {() => boolean} isTrue */
async function until(isTrue) {
  while (!isTrue()) await sleep(100);
}

/** Process ids of the phases that are in training. @param {string} run @returns {number[]} */
function processesOf(run) {
  const files = ['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT', 'E2E'].map((phase) =>
    join(run, phase, 'status.json'),
  );
  const states = files
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')));
  return states.filter(({ state }) => state === 'running').map(({ pid }) => pid);
}

/** @param {string} name @param {ReturnType<typeof screenOf>} rows @param {string} label */
function writeSvg(name, rows, label) {
  writeFileSync(join(pictures, name), svgOf(rows, label));
}

/** @param {Buffer} png @param {string} name */
async function save(png, name) {
  writeFileSync(join(pictures, name), await sharp(png).png({ palette: true, colours: 128 }).toBuffer());
}
