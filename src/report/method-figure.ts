import { roleOf } from './curves.js';
import { type Markup, markup } from './markup.js';

/** A phase and the number of blocks in each stage. */
export interface PhaseStages {
  readonly phase: string;
  readonly depths: readonly number[];
}

const WIDTH = 358;
const LEFT = 62;
const ROW = 46;
/** With more stages, a box would be too narrow for its number. */
const MOST_STAGES = 12;

/**
 * Draws the trained and frozen stages of each phase, as in the paper: a row per phase, and a box per stage with its number of
 * blocks. Boxes of trained stages are filled and those of frozen stages outlined; boxes of meta-model stages are smaller than
 * those of modules. Returns undefined if there are no stages, or too many to draw.
 */
export function methodFigure(phases: readonly PhaseStages[]): Markup | undefined {
  const stages = Math.max(0, ...phases.map(({ depths }) => depths.length));
  if (stages === 0 || stages > MOST_STAGES) return undefined;
  const height = phases.length * ROW;
  return markup`<svg class="method" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Stages of each phase's model; trained stages are filled">${phases.map(row)}</svg>`;
}

function row({ phase, depths }: PhaseStages, index: number): Markup {
  const middle = index * ROW + ROW / 2;
  const pitch = (WIDTH - LEFT) / depths.length;
  const role = roleOf(phase);
  const module = role === 'hybrid' ? Number(phase.split('/')[1]) : undefined;
  const boxes = depths.map((blocks, stage) => {
    const isModule = role === 'assembled' || role === 'end_to_end' || stage === module;
    const isTrained = module === undefined || stage === module;
    const tall = isModule ? 34 : 20;
    const x = LEFT + stage * pitch;
    const kind = isTrained ? (role === 'end_to_end' ? 'baseline' : 'trained') : 'frozen';
    return markup`<g class="${kind}"><rect x="${x}" y="${middle - tall / 2}" width="${pitch - 6}" height="${tall}" rx="4"/><text x="${x + (pitch - 6) / 2}" y="${middle + 4}" text-anchor="middle">${blocks}</text></g>`;
  });
  return markup`<text class="name" x="0" y="${middle + 4}">${phase}</text>${boxes}`;
}
