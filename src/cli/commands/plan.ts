import {
  heldOutLine,
  imagesLeft,
  imagesOfPlan,
  settingsOf,
  trainImagesOf,
} from '../../phase/images/images.js';
import { imbalanceLine } from '../../phase/images/imbalance.js';
import type { CostRatios } from '../../plan/cost.js';
import { checkedPlan, type PhasePlan, type RunPlan, type TrainImages } from '../../plan/plan.js';
import { compile } from '../../recipe/compile.js';
import type { Phase } from '../../recipe/phase.js';
import { readRecipeInput, type WrittenRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { bytes, duration, narrowed, significant, TRAIN_TIME, withPrefix } from '../../report/format.js';
import { baselineName, WAY_NAMES, type Way, wayOf } from '../../report/way.js';
import { curriculumLines } from '../../run/records.js';
import { isLocal } from '../../weights/hub/hub.js';
import { columns, note, print, printJson, rule } from '../terminal/output.js';
import { defaultFolder } from './common-options.js';
import { noteClassesFound } from './start.js';
import { readStepTimes } from './step-times.js';

interface PlanOptions {
  readonly set?: readonly string[];
  readonly images?: number;
  readonly measure?: true;
  readonly stepMs?: string;
  readonly devices?: readonly number[];
  /** GB/s. */
  readonly bandwidth: number;
  readonly overlap: number;
  readonly json?: true;
}

/** Estimated seconds of training, by phase. */
type Seconds = ReadonlyMap<string, number>;

/** `plan`: prints what a recipe will train, and its cost. */
export async function plan(recipePath: string, options: PlanOptions): Promise<void> {
  const written = readRecipeInput(recipePath, options.set);
  noteClassesFound(written);
  const { recipe, trainImages } = await plannedRecipe(written, options.images);
  const phases = compile(recipe);
  const run = checkedPlan(phases, trainImages);
  const stepSeconds = await stepSecondsOf(recipe, phases, run, options);
  if (options.devices !== undefined) {
    const { bandwidth, overlap, json } = options;
    const network = { bandwidth: bandwidth * 1e9, overlap };
    const asked = { devices: options.devices, stepSeconds, stepsFrom: sourceOf(options), network, json };
    return (await import('./plan-devices.js')).printSchedules(phases, run, asked);
  }
  const time: Seconds = new Map(
    run.phases.flatMap(({ phase, steps }) => {
      const seconds = stepSeconds?.get(phase);
      return seconds === undefined ? [] : [[phase, seconds.start + steps * seconds.step]];
    }),
  );
  if (options.json) printJson(json(run, time));
  else {
    print(...text(run, time, { stepsFrom: sourceOf(options), way: wayOf(recipe) }));
    print(...precisionSentence(recipe.run, phases));
  }
}

/**
 * The recipe, completed from its start weights as in `run`, and the number of its training images. A plan downloads no
 * weights from the hub: what only they say is not checked, and a note says so.
 */
async function plannedRecipe(
  written: WrittenRecipe,
  images: number | undefined,
): Promise<{ recipe: Recipe; trainImages: TrainImages }> {
  const { recipe: given } = written;
  if (images !== undefined) return { recipe: given, trainImages: imagesLeft(given, images) };
  const remote = remoteWeights(given);
  if (remote.length > 0)
    note(`not checked: ${remote.join(', ')} (not downloaded yet; run downloads and checks it)`);
  const isHeadUnknown = [given.start.model, given.start.meta].some((name) => remote.includes(name ?? ''));
  const recipe = remote.length > 0 ? given : await startedRecipeOf(written);
  const phases = compile(recipe);
  const found = imagesOfPlan(settingsOf(phases[0], 'run'), { isHeadUnknown });
  const line = heldOutLine(recipe.data, found);
  if (line !== undefined) note(line);
  const imbalance = imbalanceLine(phases, found.train);
  if (imbalance !== undefined) note(imbalance);
  return { recipe, trainImages: trainImagesOf(phases[0], found.train.length) };
}

async function startedRecipeOf(written: WrittenRecipe): Promise<Recipe> {
  const { startedRecipe } = await import('./start.js');
  return (await startedRecipe(written, defaultFolder(written.recipe))).recipe;
}

/** The recipe's weights that are on the hub and not in the cache. */
function remoteWeights(recipe: Recipe): string[] {
  const { meta, model } = recipe.start;
  const teachers = compile(recipe).map(({ settings }) => settings.distill?.teacher);
  const names = [meta, model, ...teachers].filter((name) => name !== undefined);
  return [...new Set(names)].filter((name) => !isLocal(name));
}

async function stepSecondsOf(
  { run: machine }: Pick<Recipe, 'run'>,
  phases: readonly Phase[],
  run: RunPlan,
  { measure, stepMs }: PlanOptions,
) {
  if (stepMs !== undefined) return readStepTimes(stepMs, run.phases);
  return measure ? (await import('./plan-measure.js')).measure(machine, phases, run.phases) : null;
}

function sourceOf({ measure, stepMs }: PlanOptions): string | null {
  if (stepMs !== undefined) return 'from the given step times';
  return measure ? 'extrapolated from a few steps on random images' : null;
}

function json(run: RunPlan, time: Seconds) {
  return {
    ...run,
    phases: run.phases.map((phase) => ({ ...phase, ...secondsOf(time, [phase]) })),
    incubation: { ...run.incubation, ...secondsOf(time, incubationOf(run)) },
    end_to_end: endToEndOf(run) ?? null,
    ratio: ratioOf(run) ?? null,
    memory_bytes: memoryOf(run),
  };
}

/** Columns that may be left out in a narrow terminal, in this order. */
const DISPENSABLE = ['of', 'MACs', 'images', 'trained'];

interface Wording {
  readonly stepsFrom: string | null;
  readonly way: Way;
}

function text(run: RunPlan, time: Seconds, { stepsFrom, way }: Wording): string[] {
  const ownName = WAY_NAMES[way];
  const head = [
    'phase',
    'blocks',
    'epochs',
    'steps',
    'images',
    'trained',
    'of',
    'block-passes',
    'MACs',
    'memory',
  ];
  const baseline = run.phases.filter(({ phase }) => phase === 'E2E');
  const own = incubationOf(run);
  const rows = [
    [...head, ...(time.size > 0 ? [TRAIN_TIME] : [])],
    ...run.phases.map((phase) => phaseCells(phase, time)),
    ...(own.length > 0 ? [totalCells(ownName, own, time)] : []),
    ...(baseline.length > 0 ? [totalCells(baselineName(way), baseline, time)] : []),
  ];
  const room = process.stdout.columns ?? Number.POSITIVE_INFINITY;
  const table = columns(narrowed(rows, room, DISPENSABLE), 2);
  const line = rule(table);
  const totals = [baseline, own].filter(({ length }) => length > 0).length;
  return [
    `${run.name}: ${run.train_images.toLocaleString('en-US')} training images; ${forwardOf(run)}`,
    '',
    table[0],
    line,
    ...table.slice(1, -totals),
    line,
    ...table.slice(-totals),
    '',
    ...ratioSentence(run, way),
    ...curriculumLines(run.phases),
    ...togetherSentence(run),
    ...memorySentences(run),
    `Disk: at most ${bytes(run.disk_bytes)}.`,
    ...(stepsFrom === null ? [] : [`Time: ${stepsFrom}, phases in sequence, without evaluation.`]),
  ];
}

function phaseCells(phase: PhasePlan, time: Seconds): string[] {
  return [
    phase.phase,
    phase.depths.join(' '),
    significant(phase.epochs),
    phase.steps.toLocaleString('en-US'),
    phase.images.toLocaleString('en-US'),
    withPrefix(phase.trained_parameters),
    withPrefix(phase.parameters),
    withPrefix(phase.block_passes),
    withPrefix(phase.macs),
    bytes(phase.memory.peak ?? phase.model_bytes),
    ...timeCell([phase], time),
  ];
}

function totalCells(name: string, phases: readonly PhasePlan[], time: Seconds): string[] {
  const sum = (key: 'steps' | 'images' | 'block_passes' | 'macs') =>
    phases.reduce((total, phase) => total + phase[key], 0);
  return [
    name,
    '',
    '',
    sum('steps').toLocaleString('en-US'),
    sum('images').toLocaleString('en-US'),
    '',
    '',
    withPrefix(sum('block_passes')),
    withPrefix(sum('macs')),
    '',
    ...timeCell(phases, time),
  ];
}

function timeCell(phases: readonly PhasePlan[], time: Seconds): string[] {
  const { seconds } = secondsOf(time, phases);
  return seconds === undefined ? [] : [duration(seconds)];
}

function secondsOf(time: Seconds, phases: readonly PhasePlan[]): { seconds?: number } {
  if (time.size === 0) return {};
  return { seconds: phases.reduce((sum, { phase }) => sum + (time.get(phase) ?? 0), 0) };
}

function incubationOf(run: RunPlan): PhasePlan[] {
  return run.phases.filter(({ phase }) => phase !== 'E2E');
}

function endToEndOf(run: RunPlan): { block_passes: number; macs: number } | undefined {
  const found = run.phases.find(({ phase }) => phase === 'E2E');
  return found && { block_passes: found.block_passes, macs: found.macs };
}

/** The cost of all other phases divided by that of end to end; undefined if the recipe has only one of the two. */
function ratioOf(run: RunPlan): { block_passes: number; macs: number } | undefined {
  const baseline = endToEndOf(run);
  if (baseline === undefined || incubationOf(run).length === 0) return undefined;
  const { block_passes, macs } = run.incubation;
  return { block_passes: block_passes / baseline.block_passes, macs: macs / baseline.macs };
}

function ratioSentence(run: RunPlan, way: Way): string[] {
  const ratio = ratioOf(run);
  if (endToEndOf(run) === undefined) {
    return ['No comparison: the recipe has no end-to-end baseline (phases.E2E).'];
  }
  const ownName = WAY_NAMES[way];
  if (way === 'infopro' || way === 'dgl') {
    return [
      `The recipe trains only by ${ownName} (incubation: none). Block-passes leave out the auxiliary heads; MACs count them.`,
    ];
  }
  if (ratio === undefined) return ['The recipe trains only end to end (incubation: none).'];
  const [passes, macs] = [ratio.block_passes, ratio.macs].map((value) => value.toFixed(3));
  return [
    `${ownName} costs ${passes} x the block-passes and ${macs} x the MACs of end-to-end training.`,
    ...(run.ratios === null ? [] : [variantsSentence(run.ratios)]),
  ];
}

/** The cost of one image in the model that the run produces. */
function forwardOf({ phases }: RunPlan): string {
  const { forward_macs: macs } = phases[phases.length - 1];
  return `a forward pass of one image takes ${withPrefix(macs)} multiply-accumulates`;
}

function variantsSentence({ official, prefix_shared, meta_given }: CostRatios): string {
  const [whole, shared, given] = [official, prefix_shared, meta_given].map((ratio) => ratio.toFixed(3));
  return `(${whole} x as in the official code; ${shared} x with the frozen prefix shared; ${given} x if the meta model is also given.)`;
}

function togetherSentence({ together, incubation }: RunPlan): string[] {
  if (together === null) return [];
  const { saved_block_passes: saved, memory_bytes: memory } = together;
  const share = ((100 * saved) / incubation.block_passes).toFixed(1);
  const needs = memory === null ? '' : `, and need ${bytes(memory)} together`;
  return [
    `Incubating all modules together on one device saves ${withPrefix(saved)} of these block-passes (${share} %)${needs}.`,
  ];
}

/** The memory of the phase that needs most: its parts, and the effect of activation checkpointing. */
function memorySentences({ phases }: RunPlan): string[] {
  const [{ phase, memory }] = [...phases].sort((a, b) => (b.memory.peak ?? 0) - (a.memory.peak ?? 0));
  const { weights, gradients, optimizer, activations, activations_checkpointed: less } = memory;
  if (activations === null || less === null) return [];
  const parts = [
    `weights ${bytes(weights)}`,
    `optimiser ${bytes(optimizer)}`,
    `gradients ${bytes(gradients)}`,
    `activations ${bytes(activations)}, or ${bytes(less)} with activation_checkpointing`,
  ];
  return [`Memory of ${phase}: ${parts.join('; ')}. The process itself needs about 0.3 GiB more.`];
}

/** `plan` cannot know what a GPU computes in. */
function precisionSentence({ device }: Pick<Recipe['run'], 'device'>, phases: readonly Phase[]): string[] {
  if (device === 'cpu' || phases.every(({ settings }) => settings.precision !== 'auto')) return [];
  return [
    'Precision: bfloat16 on a GPU that has it, otherwise float32 (training.precision: auto). Memory is given for float32.',
  ];
}

/** The maximum over all phases. */
function memoryOf(run: RunPlan): number {
  return Math.max(...run.phases.map(({ memory, model_bytes }) => memory.peak ?? model_bytes));
}
