import { visibleLine } from '../../base/visible.js';
import { checkData, type DataReport } from '../../data/check/data-check.js';
import type { DataProblem, PartSummary, Spread } from '../../data/check/data-check-summary.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import { duration, significant } from '../../report/format.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, print, printJson } from '../terminal/output.js';

/** `data check`: lists problems of an image folder; exits with 1 if there are any. */
export async function dataCheck(
  folder: string,
  options: { readonly json?: true; readonly split?: SplitChoice },
): Promise<void> {
  const started = performance.now();
  const progress = progressLine(process.stderr, 'images');
  const report = await checkData(folder, { split: options.split, onProgress: progress.show }).finally(
    progress.clear,
  );
  const seconds = (performance.now() - started) / 1000;
  if (options.json) printJson({ data: folder, ...report, seconds });
  else printReport(folder, report, seconds);
  if (report.problems.length > 0) process.exitCode = 1;
}

function printReport(
  folder: string,
  { format, parts, not_read, problems }: DataReport,
  seconds: number,
): void {
  const images = Object.values(parts).reduce((sum, part) => sum + part.images, 0);
  print(
    ...columns(
      [
        ['data', `${folder}, ${format}`],
        ...Object.entries(parts).flatMap(([name, part]) => partRows(name, part)),
        ['time', `${duration(seconds)}, ${significant(images / seconds)} images/s`],
      ],
      2,
    ),
    ...(not_read.length === 0 ? [] : ['', ...not_read.map(passedOverLine)]),
    '',
    ...(problems.length === 0 ? ['No problem found.'] : problemLines(problems)),
  );
}

function partRows(name: string, part: PartSummary): string[][] {
  const { balance, widths, heights } = part;
  const unreadable = part.unreadable === 0 ? '' : `, ${count(part.unreadable)} of them unreadable`;
  const named = (images: number, of: string) => `${count(images)} (${of})`;
  const ofClass = (each: NonNullable<PartSummary['balance']>) =>
    each.min === each.max
      ? `${count(each.min)} each`
      : `from ${named(each.min, each.fewest)} to ${named(each.max, each.most)}, median ${count(each.median)}`;
  return [
    [name, `${count(part.images)} images of ${count(part.classes)} classes${unreadable}`],
    ...(balance === null ? [] : [['  of a class', ofClass(balance)]]),
    ...(part.turned === 0
      ? []
      : [['  turned', `${count(part.turned)} images by EXIF (only with data.exif: apply)`]]),
    ...(part.grey16 === 0
      ? []
      : [['  16-bit grey', `${count(part.grey16)} images (clipped at 255 unless data.grey16 is scale)`]]),
    ...(widths === null || heights === null
      ? []
      : [
          ['  width', pixels(widths)],
          ['  height', pixels(heights)],
        ]),
  ];
}

function pixels({ min, p5, median, p95, max }: Spread): string {
  if (min === max) return `${min} px`;
  return `${min} to ${max} px, median ${median}, nine in ten from ${p5} to ${p95}`;
}

const TITLES: Readonly<Record<DataProblem['kind'], string>> = {
  damaged: 'cannot be opened',
  missing_part: 'missing splits',
  refused: 'not usable in a run',
  unreadable: 'unreadable images',
  wrong_extension: 'images with a wrong extension',
  empty_class: 'classes without images',
  unknown_class: 'classes in val but not in train',
  leak: 'images in both train and val',
  duplicate: 'duplicate images',
  extreme_shape: 'images with an extreme aspect ratio',
  tiny: 'unusually small images',
};

/** Maximum number of problems listed per kind; --json lists all. */
const MOST_LISTED = 20;

function problemLines(problems: readonly DataProblem[]): string[] {
  return (Object.keys(TITLES) as DataProblem['kind'][]).flatMap((kind) => {
    const found = problems.filter((problem) => problem.kind === kind);
    if (found.length === 0) return [];
    const more = found.length - MOST_LISTED;
    return [
      `problem: ${TITLES[kind]}: ${count(found.length)}`,
      ...found.slice(0, MOST_LISTED).map((problem) => `  ${visibleLine(problemText(problem))}`),
      ...(more > 0 ? [`  and ${count(more)} more: --json lists all`] : []),
    ];
  });
}

function problemText({ images, detail }: DataProblem): string {
  const [first] = images;
  if (first === undefined) return detail;
  return images.length === 1
    ? `${first}: ${detail}`
    : `${detail}: ${images.slice(0, 5).join(', ')}${images.length > 5 ? ', ...' : ''}`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
