import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Dashboard, startDashboard } from '../src/dashboard/server.js';
import { type FolderLock, lockFolder } from '../src/files/folder-lock.js';
import { confusionOf } from '../src/run/confusion.js';
import { readJson, runFolder } from '../src/run/run-folder.js';
import { brokenRules, isWider, LOOKS, type Look, launchBrowser } from './browser.js';
import { temporaryFolder } from './cli-support.js';
import { appendEvaluation, appendSteps, type Scene, writeDashboardRun } from './dashboard-run.js';
import { chromium, needs } from './needs.js';
import { writeEvaluatedImages } from './synthetic-evaluated.js';

// The built page (npm run build) in a browser. DASHBOARD_PICTURES=folder keeps screenshots.

const pictures = process.env.DASHBOARD_PICTURES;
const SCENES: readonly Scene[] = ['running', 'failed', 'finished'];

const folder = temporaryFolder();
const rootOf = (scene: Scene) => join(folder, scene);
let browser: Browser;
let lock: FolderLock;

beforeAll(async () => {
  if (chromium.missing !== undefined) return;
  for (const scene of SCENES) writeDashboardRun(rootOf(scene), scene);
  // Locked, as by a running run.
  lock = await lockFolder(rootOf('running'));
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  lock?.release();
});

/** Opens the page of some runs. @returns also the errors that the browser reports */
async function open(dashboard: Dashboard, { width, scheme }: Look) {
  const page = await browser.newPage({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    bypassCSP: false,
  });
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(dashboard.url);
  await page.waitForSelector('.chart canvas');
  return { page, problems };
}

/** Of the opaque pixels of a data URL, as six digits. */
async function coloursOf(url: string): Promise<Set<string>> {
  const pixels = await sharp(Buffer.from(url.split(',')[1], 'base64'))
    .raw()
    .toBuffer();
  const starts = Array.from({ length: pixels.length / 4 }, (_, i) => 4 * i);
  return new Set(
    starts.filter((at) => pixels[at + 3] === 255).map((at) => pixels.toString('hex', at, at + 3)),
  );
}

describe('in Chromium', needs(chromium), () => {
  describe.each(SCENES)('%s', (scene) => {
    test.each(LOOKS)('$width pixels, $scheme: nothing broken, nothing too wide, accessible', async (look) => {
      const dashboard = await startDashboard({ runs: [rootOf(scene)] });
      const { page, problems } = await open(dashboard, look);
      try {
        await page.waitForTimeout(300);
        if (pictures !== undefined) {
          mkdirSync(pictures, { recursive: true });
          const path = join(pictures, `${scene}-${look.width}-${look.scheme}.png`);
          await page.screenshot({ path, fullPage: true });
        }
        expect(await page.locator('h1').textContent()).toBe('fashion-128');
        expect(await page.locator('.title .state').textContent()).toBe(scene === 'finished' ? 'done' : scene);
        expect(await page.locator('.phase').count()).toBe(7);
        expect(await page.locator('.phase .start').allTextContents()).toEqual([
          'from scratch',
          ...[0, 1, 2, 3].map((module) => `from PT; stage ${module} from scratch`),
          'from MT/0 to MT/3',
          'from scratch',
        ]);
        expect(await isWider(page)).toBe(false);
        expect(await brokenRules(page)).toEqual([]);
        expect(problems).toEqual([]);
      } finally {
        await page.close();
        await dashboard.close();
      }
    });
  });

  test('updates of a run arrive, also after the server was restarted', async () => {
    const root = rootOf('running');
    const first = await startDashboard({ runs: [root] });
    const port = Number(new URL(first.url).port);
    const { page } = await open(first, { width: 1440, scheme: 'light' });
    const row = page.locator('tbody tr', { hasText: 'MT/2' }).first();
    await expect.poll(() => row.textContent()).toContain('645');
    appendSteps(root, 'MT/2', [701, 702]);
    await expect.poll(() => row.textContent(), { timeout: 60_000 }).toContain('702');

    await first.close();
    await expect.poll(() => page.locator('.connection').textContent()).toContain('lost');
    appendSteps(root, 'MT/2', [710]);
    const second = await startDashboard({ runs: [root], port });
    await expect.poll(() => page.locator('.connection').textContent(), { timeout: 60_000 }).toBe('live');
    await expect.poll(() => row.textContent(), { timeout: 60_000 }).toContain('710');
    await page.close();
    await second.close();
  });

  test.each([
    [30, 1],
    [200, 0],
  ])('of %i classes %i matrix is drawn; the worst classes are listed', async (classes, matrices) => {
    const root = join(folder, `classes-${classes}`);
    writeDashboardRun(root, 'failed');
    const names = Array.from({ length: classes }, (_, i) => `class <b>${i}</b> of a long name`);
    const place = { phase: 'MT/2', kind: 'eval', epoch: 0, step: 300, images: 1000 } as const;
    const record = { ...place, top1: 70, top5: 90, loss: 1, block_passes: 1, seconds: 1 };
    writeEvaluatedImages(root, record, names);
    const dashboard = await startDashboard({ runs: [root] });
    const { page, problems } = await open(dashboard, { width: 390, scheme: 'dark' });
    await page.waitForSelector('#worst');
    expect(await page.locator('svg.matrix').count()).toBe(matrices);
    const first = page.locator('.worst tbody tr').first();
    const worst = Math.max(...names.map((_, i) => (i * 7) % classes));
    const target = names.findIndex((_, i) => (i * 7) % classes === worst);
    expect(await first.locator('th').textContent()).toBe(names[target]);
    expect(await isWider(page)).toBe(false);
    expect(await brokenRules(page)).toEqual([]);
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('images and matrix of the chosen phase, and of a newer evaluation', async () => {
    const root = join(folder, 'details');
    writeDashboardRun(root, 'running');
    const dashboard = await startDashboard({ runs: [root] });
    const { page, problems } = await open(dashboard, { width: 1440, scheme: 'light' });
    await page.getByLabel('Phase of the evaluation').selectOption('PT');
    await expect.poll(() => page.locator('#evaluation').textContent()).toContain('step 2,800');
    const cells = page.locator('.matrix tbody td');
    expect(await cells.count()).toBe(100);
    const confusion = confusionOf(readJson(runFolder(root).phase('PT').confusion));
    const hit = confusion?.counts.find(([a, b]) => a === 0 && b === 0)?.[2] ?? 0;
    expect(await cells.first().textContent()).toBe(String(Math.round(hit / 10)));
    const guesses = page.locator('.samples').first().locator('li').first();
    expect(await guesses.locator('.share').allTextContents()).toHaveLength(3);
    const loaded = await page.evaluate<number>(
      `Promise.all([...document.querySelectorAll('.tile-image')].map((tile) => {
         const image = new Image();
         image.src = getComputedStyle(tile).backgroundImage.slice(5, -2);
         return image.decode().then(() => image.naturalWidth);
       })).then((widths) => Math.min(...widths))`,
    );
    expect(loaded).toBe(8 * 28);
    await page.getByLabel('Phase of the evaluation').selectOption('MT/2');
    await expect.poll(() => page.locator('#evaluation').textContent()).not.toContain('2,800');
    appendEvaluation(root, 'MT/2', 700);
    await expect.poll(() => page.locator('#evaluation').textContent()).toContain('step 700');
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('several runs are compared, and their recipes', async () => {
    const other = join(folder, 'other');
    writeDashboardRun(other, 'finished', { name: 'wider', seed: 3 });
    const dashboard = await startDashboard({ runs: [rootOf('finished'), other] });
    const { page, problems } = await open(dashboard, { width: 1440, scheme: 'dark' });
    await page.keyboard.press('c');
    await page.waitForSelector('#comparison');
    await page.getByLabel('Differences from another run').selectOption('1');
    const cells = page.locator('.recipe tbody tr');
    await expect.poll(() => cells.allTextContents()).toEqual(['name"fashion-128""wider"', 'seed03']);
    await page.keyboard.press('3');
    expect(await page.getByRole('button', { name: 'Cost' }).getAttribute('aria-pressed')).toBe('true');
    if (pictures !== undefined)
      await page.screenshot({ path: join(pictures, 'compared.png'), fullPage: true });
    expect(await brokenRules(page)).toEqual([]);
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('printed: every current chart, also off the screen, dark on white', async () => {
    const root = join(folder, 'printed');
    writeDashboardRun(root, 'running');
    const dashboard = await startDashboard({ runs: [root] });
    const { page, problems } = await open(dashboard, { width: 1440, scheme: 'dark' });
    await page.keyboard.press('3');
    await page.evaluate(`addEventListener('beforeprint', () => queueMicrotask(() => queueMicrotask(() => {
      window.printed = [...document.querySelectorAll('.paper canvas')].map((canvas) => canvas.toDataURL());
    })))`);
    const print = async () => {
      await page.pdf();
      return page.evaluate<string[]>('window.printed');
    };
    const first = await print();
    expect(first).toHaveLength(await page.locator('.chart').count());
    for (const image of first) {
      const colours = await coloursOf(image);
      expect(colours).toContain('5d656e');
      expect(colours).not.toContain('9aa3ad');
    }
    await expect.poll(() => page.locator('.paper').count()).toBe(0);
    const row = page.locator('tbody tr', { hasText: 'MT/2' }).first();
    appendSteps(root, 'MT/2', [720]);
    await expect.poll(() => row.textContent(), { timeout: 60_000 }).toContain('720');
    const memory = await page.evaluate<number>(
      `[...document.querySelectorAll('.chart')].findIndex((chart) => chart.textContent.startsWith('Memory'))`,
    );
    await expect.poll(async () => (await print())[memory]).not.toBe(first[memory]);
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('an end-to-end run has no entries for phases that it does not train', async () => {
    const root = join(folder, 'end-to-end');
    writeDashboardRun(root, 'end-to-end', { incubation: 'none' });
    const dashboard = await startDashboard({ runs: [root] });
    const { page, problems } = await open(dashboard, { width: 390, scheme: 'light' });
    expect(await page.locator('.graph .phase .name').allTextContents()).toEqual(['End to end']);
    expect(await page.locator('.graph h3').count()).toBe(0);
    const [time] = await page.locator('.tile', { hasText: 'Train time' }).allTextContents();
    expect(time).toMatch(/^Train time(?!0\.0)\d.*end to end only$/);
    expect(await isWider(page)).toBe(false);
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('a phone shows the results of phases and runs without horizontal scrolling', async () => {
    const dashboard = await startDashboard({ runs: [rootOf('finished'), rootOf('failed')] });
    const { page } = await open(dashboard, { width: 390, scheme: 'light' });
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.waitForSelector('#comparison');
    const seen = await page.evaluate<string[]>(
      `[...document.querySelectorAll(':is(.numbers, .comparison) thead th')]
         .filter((cell) => cell.getBoundingClientRect().right <= document.documentElement.clientWidth - 16)
         .map((cell) => cell.textContent)`,
    );
    expect(seen).toEqual(expect.arrayContaining(['Phase', 'State', 'Top-1, last', 'Top-1, best']));
    expect(seen).toEqual(expect.arrayContaining(['Run', 'Top-1, Deep Incubation', 'Top-1, end to end']));
    await page.close();
    await dashboard.close();
  });

  test('with a token: the address works once, and then no longer shows it', async () => {
    const token = 'a-token-of-sixteen-or-more';
    const dashboard = await startDashboard({ runs: [rootOf('finished')], token });
    const { page, problems } = await open(dashboard, { width: 390, scheme: 'light' });
    expect(page.url()).not.toContain(token);
    expect(await page.locator('.connection').textContent()).toBe('live');
    expect(problems).toEqual([]);
    await page.close();
    await dashboard.close();
  });

  test('text of a run is shown as text', async () => {
    const evil = '<img src=x onerror=alert(1)><script>alert(2)</script>';
    const root = join(folder, 'evil');
    writeDashboardRun(root, 'failed', { name: evil, data: { [evil]: evil } });
    const dashboard = await startDashboard({ runs: [root] });
    const { page } = await open(dashboard, { width: 1440, scheme: 'light' });
    expect(await page.locator('h1').textContent()).toBe(evil);
    expect(await page.locator('main img, main script').count()).toBe(0);
    await page.close();
    await dashboard.close();
  });

  test('keys and mouse: zoom, whole range, help', async () => {
    const dashboard = await startDashboard({ runs: [rootOf('finished')] });
    const { page } = await open(dashboard, { width: 1440, scheme: 'light' });
    const reset = page.getByRole('button', { name: 'Reset zoom' });
    expect(await reset.isDisabled()).toBe(true);
    await page.locator('.frame').first().focus();
    await page.keyboard.press('+');
    await expect.poll(() => reset.isDisabled()).toBe(false);
    await page.keyboard.press('r');
    await expect.poll(() => reset.isDisabled()).toBe(true);
    const box = await page.locator('.frame').first().boundingBox();
    if (box === null) throw new Error('no chart');
    await page.mouse.move(box.x + 150, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + 300, box.y + 100, { steps: 5 });
    await expect.poll(() => page.locator('.readout').count()).toBe(1);
    await page.mouse.up();
    await expect.poll(() => reset.isDisabled()).toBe(false);
    await page.keyboard.press('?');
    await expect.poll(() => page.locator('dialog').isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('dialog').count()).toBe(0);
    await page.close();
    await dashboard.close();
  });
});
