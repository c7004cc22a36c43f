import { z } from 'zod';
import { count } from '../base/number-schemas.js';
import { modelSection } from '../models/families/families.js';
import { taskKey, taskSections } from '../tasks/tasks.js';
import { dataSection } from './recipe-data.js';
import { runSection } from './recipe-run.js';
import { startSection } from './recipe-start.js';
import { baselineOverride, incubationOverride, moduleOverride, override } from './recipe-training.js';

export type { TrainingOverride, TrainingSettings } from './recipe-training.js';

const incubation = z
  .strictObject({
    modules: count.describe('K: number of modules, of equal depth.').optional(),
    depths: z.array(count).min(1).describe('Blocks of each module, instead of modules.').optional(),
    meta_depth: count.describe('Blocks per stage of the meta model; 1 in the paper.').default(1),
    strategy: z
      .enum(['modules', 'growth'])
      .describe(
        'modules, the method: each module is incubated in the meta model. growth: no MT, the whole model is grown from the ' +
          'meta model and trained in FT.',
      )
      .default('modules'),
    init: z
      .enum(['fresh', 'grown', 'stacked'])
      .describe(
        'How a module starts. fresh: initialised. grown: the meta stage, plus blocks that are the identity. stacked: copies ' +
          "of the meta stage's blocks. Default: fresh; with strategy growth, grown.",
      )
      .optional(),
    together: z
      .boolean()
      .describe(
        'All modules see the same batches and drop-path masks. Those that train on one device then do so in one ' +
          "process, and share images and the frozen prefix's forward pass.",
      )
      .default(false),
  })
  .describe('How the model is divided.');

const noIncubation = z
  .literal('none')
  .describe(
    'The model is not divided: no PT and MT, FT only with start.model; settings of other phases are ignored.',
  );

const phases = z
  .strictObject({
    PT: override.prefault({}).describe('Pre-training of the meta model.'),
    MT: incubationOverride.prefault({}).describe('Incubation of each module.'),
    modules: z
      .record(z.string().regex(/^(0|[1-9]\d*)$/), moduleOverride)
      .describe('Settings of single modules, by number; override phases.MT.')
      .optional(),
    FT: override.prefault({}).describe('Fine-tuning of the assembled model.'),
    E2E: z
      .union([z.literal('none'), baselineOverride])
      .describe(
        'The baseline, trained from scratch: end to end, or by local losses. Or none. Default epochs: the same cost as all other phases.',
      )
      .prefault('none'),
  })
  .describe('Settings that differ between phases.');

export const recipeSchema = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .regex(/^\P{Cc}*$/u, { error: 'contains a control character' })
    .describe('Shown in reports.'),
  seed: z.int().min(0).default(0),
  task: taskKey,
  ...taskSections,
  model: modelSection,
  incubation: z.union([noIncubation, incubation], { error: 'expected none, or a section: {} is enough' }),
  data: dataSection,
  start: startSection.prefault({}),
  training: override.prefault({}).describe('Settings of every phase, which phases.<name> may override.'),
  phases: phases.prefault({}),
  run: runSection.prefault({}),
  versions: z
    .record(z.string(), z.string())
    .describe('Versions that made the run; written by the program.')
    .optional(),
});

/** A recipe as written: keys with a default may be omitted. */
export type RecipeInput = z.input<typeof recipeSchema>;
/** A recipe with all defaults filled in except those of training (see `phaseSettings`). */
export type Recipe = z.output<typeof recipeSchema>;
