import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeComparison } from '../src/report/html.js';
import { DARK, LIGHT } from '../src/report/plot.js';
import type { EvalRecord } from '../src/run/records.js';
import { brokenRules, isWider, LOOKS, launchBrowser } from './browser.js';
import { temporaryFolder } from './cli-support.js';
import { chromium, needs } from './needs.js';
import { writeEvaluatedImages } from './synthetic-evaluated.js';
import { FULL_RUN, syntheticRecords, writeSyntheticRun } from './synthetic-run.js';

const folder = temporaryFolder();
let browser: Browser;
let url: string;

describe('a report in Chromium', needs(chromium), () => {
  beforeAll(async () => {
    const roots = ['flowers', 'flowers-half'].map((name) => join(folder, name));
    for (const root of roots) writeSyntheticRun(root, FULL_RUN, { name: 'flowers', seed: 0 });
    for (const options of FULL_RUN) {
      const last = syntheticRecords(options).findLast(({ kind }) => kind === 'eval') as EvalRecord;
      writeEvaluatedImages(roots[0], last);
    }
    const { reports } = await writeComparison(roots);
    url = pathToFileURL(reports[0].html).href;
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  test.each(LOOKS)('$width pixels, $scheme: nothing too wide, accessible', async ({ width, scheme }) => {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
    await page.goto(url);
    expect(await isWider(page)).toBe(false);
    expect(await brokenRules(page)).toEqual([]);
    await page.close();
  });

  test('printed, it is dark on white with any screen theme', async () => {
    const page = await browser.newPage({ colorScheme: 'dark' });
    await page.goto(url);
    const ink = () =>
      page.evaluate<string>(`getComputedStyle(document.documentElement).getPropertyValue('--ink')`);
    expect(await ink()).toBe(DARK.ink);
    await page.emulateMedia({ media: 'print' });
    expect(await ink()).toBe(LIGHT.ink);
    await page.close();
  });

  test('a phone shows the comparison, its cost and the commands without horizontal scrolling', async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
    await page.goto(url);
    const seen = await page.evaluate<string[]>(
      `[...document.querySelectorAll('.scroll th')]
         .filter((cell) => cell.getBoundingClientRect().right <= cell.closest('.scroll').getBoundingClientRect().right)
         .map((cell) => cell.textContent)`,
    );
    expect(seen).toEqual(expect.arrayContaining(['phase', 'top-1', 'block-passes', 'train time']));
    expect(seen).toEqual(expect.arrayContaining(['top-1, Deep Incubation', 'top-1, end to end']));
    const hidden = await page.evaluate<number>(
      `[...document.querySelectorAll('.commands')].filter((code) => code.scrollWidth > code.clientWidth).length`,
    );
    expect(hidden).toBe(0);
    await page.close();
  });
});
