import type { PlotOptions } from '@observablehq/plot';

/** Colours of a figure: any CSS colour, or `var(--name)` if the embedding page defines it. */
export interface Theme {
  readonly background: string;
  readonly ink: string;
  readonly muted: string;
  readonly grid: string;
  readonly incubation: string;
  readonly end_to_end: string;
}

/** Blue and vermilion from Okabe and Ito's colour-blind-safe palette; lines also differ in shape and label. */
export const LIGHT: Theme = {
  background: '#ffffff',
  ink: '#1f2328',
  muted: '#656d76',
  grid: '#e3e6ea',
  incubation: '#0072b2',
  end_to_end: '#d55e00',
};

export const DARK: Theme = {
  background: '#14171c',
  ink: '#e6e8eb',
  muted: '#9aa3ad',
  grid: '#2c323a',
  incubation: '#56b4e9',
  end_to_end: '#f0884a',
};

/** Uses the colours of the page: `--ink`, `--muted` ... */
export const PAGE = Object.fromEntries(
  Object.keys(LIGHT).map((name) => [name, `var(--${name})`]),
) as unknown as Theme;

/** Observable Plot, loaded on first use because it takes longer to load than the rest of the command line together. */
export type PlotModule = typeof import('@observablehq/plot');

/**
 * Draws a plot as a string with one `<svg>` element that has its own size, namespace and description. Do not use options that
 * make Plot wrap the drawing in a `<figure>` (title, legend, caption).
 */
export async function drawSvg(
  description: string,
  options: (plot: PlotModule) => PlotOptions,
): Promise<string> {
  const [plot, { parseHTML }] = await Promise.all([import('@observablehq/plot'), import('linkedom')]);
  const { document } = parseHTML('<!doctype html><html></html>');
  const svg = plot.plot({ ...options(plot), document });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', description);
  // Screen readers announce the picture as a whole; the names of its parts are only for programs.
  for (const part of svg.querySelectorAll('[aria-label]')) {
    part.setAttribute('data-part', part.getAttribute('aria-label') ?? '');
    part.removeAttribute('aria-label');
  }
  return svg.outerHTML;
}

const PADDING = 32;

/** Renders a figure as PNG, at twice its size in pixels. Returns undefined if the machine has no font for the labels. */
export async function drawPng(svg: string, background: string): Promise<Uint8Array | undefined> {
  const { default: sharp } = await import('sharp');
  const paint = (text: string, density: number) =>
    sharp(Buffer.from(text), { density })
      .flatten({ background })
      .extend({ top: PADDING, bottom: PADDING, left: PADDING, right: PADDING, background })
      .png()
      .toBuffer();
  // Without fonts, every letter is drawn as the same box.
  const word = (letters: string) =>
    paint(
      `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30"><text y="20">${letters}</text></svg>`,
      72,
    );
  const [narrow, wide] = await Promise.all([word('iii'), word('WWW')]);
  return narrow.equals(wide) ? undefined : paint(svg, 144);
}
