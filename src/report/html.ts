import { join } from 'node:path';
import { writeFileAtomic } from '../files/atomic.js';
import { runFolder } from '../run/run-folder.js';
import { classifiedPhases } from './classified-section.js';
import { accuracyFigure, type FigureSize, lossDomain, lossFigure } from './curve-figures.js';
import { accuracyCurves, type Cost, lossCurves, type PhaseMetrics } from './curves.js';
import { type DataPoint, dataEfficiencyFigure, dataPoints } from './data-efficiency.js';
import { type LossPanel, type PageFigure, reportPage } from './html-page.js';
import { metricsCsv } from './metrics-csv.js';
import { drawPng, LIGHT, PAGE } from './plot.js';
import { drawnPhases } from './predictions-section.js';
import { type ReportData, readRun } from './run-data.js';

const WIDE: FigureSize = { width: 1032, height: 460 };
const NARROW: FigureSize = { width: 358, height: 320 };
const SINGLE: FigureSize = { width: 640, height: 400 };
const PANEL: FigureSize = { width: 330, height: 200 };

export interface ReportFiles {
  readonly html: string;
  readonly svg?: string;
  readonly png?: string;
  /** Every record of every phase. */
  readonly csv: string;
  /** Files that could not be created, with the reason. */
  readonly notes: readonly string[];
}

/**
 * Writes the report of a run, finished or not: `report/index.html`, a self-contained page; the main figure as
 * `accuracy-vs-cost.svg` and `.png`; and the records as `metrics.csv`. `beside`: runs to compare with, from `dataPoints`;
 * runs with another metric are left out.
 *
 * @throws InputError if `root` is not a run folder or is not writable
 */
export async function writeReport(root: string, beside: readonly DataPoint[] = []): Promise<ReportFiles> {
  const run = readRun(root);
  const compared = beside.filter(({ metric }) => metric.name === run.metrics.primary.name);
  const folder = runFolder(root).report;
  const [byOperations, byTime, losses, byData] = await Promise.all([
    accuracyFigures(run, 'block_passes'),
    accuracyFigures(run, 'seconds'),
    lossPanels(run.phases),
    pageFigure((size) => dataEfficiencyFigure(compared, { size, theme: PAGE })),
  ]);
  const html = join(folder, 'index.html');
  writeFileAtomic(
    html,
    reportPage(run, {
      byOperations,
      byTime,
      losses,
      drawn: drawnPhases(root),
      classified: classifiedPhases(root),
      compared: { runs: compared, byData },
    }),
  );
  const csv = join(folder, 'metrics.csv');
  writeFileAtomic(csv, metricsCsv(run.phases, run.metrics));
  return { html, csv, ...(await figureFiles(run, folder)) };
}

/**
 * Writes a report for each run, with a comparison of all runs. If the runs used different shares of the training images, it also
 * draws accuracy against share as `report/data-efficiency.svg` and `.png` in the first run's folder.
 */
export async function writeComparison(
  roots: readonly string[],
): Promise<{ readonly reports: readonly ReportFiles[]; readonly figures: readonly string[] }> {
  const points = dataPoints(roots);
  const reports: ReportFiles[] = [];
  for (const root of roots) reports.push(await writeReport(root, points));
  const figure = await dataEfficiencyFigure(points, { size: SINGLE, theme: LIGHT });
  if (figure === undefined) return { reports, figures: [] };
  const svg = join(runFolder(roots[0]).report, 'data-efficiency.svg');
  writeFileAtomic(svg, `${figure}\n`);
  const image = await drawPng(figure, LIGHT.background);
  if (image === undefined) return { reports, figures: [svg] };
  const png = join(runFolder(roots[0]).report, 'data-efficiency.png');
  writeFileAtomic(png, image);
  return { reports, figures: [svg, png] };
}

async function figureFiles(
  { phases, way, metrics }: ReportData,
  folder: string,
): Promise<Omit<ReportFiles, 'html' | 'csv'>> {
  const metric = metrics.primary;
  const curves = accuracyCurves(phases, 'block_passes', metric);
  const figure = await accuracyFigure(curves, {
    cost: 'block_passes',
    size: WIDE,
    theme: LIGHT,
    metric,
    way,
  });
  if (figure === undefined) return { notes: ['No figure: the run has no evaluation yet.'] };
  const svg = join(folder, 'accuracy-vs-cost.svg');
  writeFileAtomic(svg, `${figure}\n`);
  const image = await drawPng(figure, LIGHT.background);
  if (image === undefined) {
    return {
      svg,
      notes: ['No PNG of the figure: this machine has no fonts. Install one, such as DejaVu Sans.'],
    };
  }
  const png = join(folder, 'accuracy-vs-cost.png');
  writeFileAtomic(png, image);
  return { svg, png, notes: [] };
}

function accuracyFigures({ phases, way, metrics }: ReportData, cost: Cost): Promise<PageFigure | undefined> {
  const metric = metrics.primary;
  const curves = accuracyCurves(phases, cost, metric);
  return pageFigure((size) => accuracyFigure(curves, { cost, size, theme: PAGE, metric, way }));
}

/** Draws a figure twice: text scaled down from desktop width would be too small on a phone. */
async function pageFigure(
  draw: (size: FigureSize) => Promise<string | undefined>,
): Promise<PageFigure | undefined> {
  const [wide, narrow] = await Promise.all([WIDE, NARROW].map(draw));
  return wide && narrow ? { wide, narrow } : undefined;
}

function lossPanels(phases: readonly PhaseMetrics[]): Promise<LossPanel[]> {
  // A single value does not make a curve.
  const curves = lossCurves(phases).filter(({ train, evaluation }) => train.length + evaluation.length > 1);
  const domain = lossDomain(curves);
  return Promise.all(
    curves.map(async (curve) => ({
      phase: curve.phase,
      svg: await lossFigure(curve, { size: PANEL, domain, theme: PAGE }),
    })),
  );
}
