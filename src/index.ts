/**
 * Divide-and-conquer training of vision models: `divide` a model into modules, train each in its `hybrid`,
 * `assemble` them, `train` on. A whole run from a recipe is `runPhase` for each of `phasesOf`. Layers and tensor
 * operators, for models of one's own, are in `deep-incubation/nn`.
 *
 * @module deep-incubation
 */

export type { Activity } from './base/activity.js';
export { DeepIncubationError, InputError, RunError } from './base/errors.js';
export { type RandomKey, type RandomStream, randomStream } from './base/random.js';
export type { DType, TensorData } from './base/tensor-data.js';
export { type HubOptions, localCheckpoint } from './checkpoint/hub/hub.js';
export type { ModelHints } from './checkpoint/layout/layout-config.js';
export type { PixelFacts } from './checkpoint/layout/layout-processor.js';
export type { Layout } from './checkpoint/layout/layout-stages.js';
export { readMetrics } from './checkpoint/metrics-log.js';
export { type ModelFile, type ReadModelOptions, readModelFile } from './checkpoint/model-file/model-file.js';
export type { FileClasses } from './checkpoint/model-file/model-file-classes.js';
export { divideStages } from './checkpoint/model-file/model-file-divide.js';
export type { Stage as StageTensors } from './checkpoint/model-file/model-file-stages.js';
export { type WriteOptions, writeModelFile } from './checkpoint/model-file/model-file-write.js';
export type { ChosenWeights, WeightsKind } from './checkpoint/model-file/weights-choice.js';
export type { EvalRecord, MetricRecord, PhaseResult, StepRecord } from './checkpoint/records.js';
export type { DataParallel } from './cluster/data-parallel.js';
export type { ProcessGroup } from './cluster/process-group.js';
export type { QueuedJob } from './cluster/slurm-queue.js';
export type { Batch, Box, Dataset, EncodedImage, Image, Mix } from './data/dataset.js';
export { type DeitTransformOptions, deitTransform } from './data/deit-transform.js';
export { evalFolder, type FolderOptions, imageFolder, imageFolders } from './data/folder.js';
export { fashionMnist } from './data/idx.js';
export type { KnownClasses } from './data/labels.js';
export {
  type EvalBatchesOptions,
  evalBatches,
  type TrainBatchesOptions,
  trainBatches,
} from './data/loader.js';
export { type DatasetPair, type OpenDatasetOptions, openDataset } from './data/open-dataset.js';
export type { PassedOver } from './data/passed-over.js';
export type { PixelProgram, PixelStep } from './data/pixels.js';
export type { Split, SplitChoice } from './data/splits.js';
export { evalTransform, type FixedTransform, type ImageSize, type Transform } from './data/transform.js';
export { assemble, type StageWeights } from './incubation/assemble.js';
export { divide } from './incubation/divide.js';
export type { BundleContent, BundleFile } from './incubation/exchange/bundle.js';
export { packModule, packWork } from './incubation/exchange/bundle-pack.js';
export {
  type Unpacked,
  type UnpackOptions,
  unpackModule,
  unpackWork,
} from './incubation/exchange/bundle-unpack.js';
export type { Lineage } from './incubation/exchange/lineage.js';
export type { ParentOptions } from './incubation/exchange/one-parent.js';
export { type Redone, redoPhase } from './incubation/exchange/redo.js';
export { hybrid, hybridDepths, hybridRegimes } from './incubation/hybrid.js';
export { imitation } from './incubation/imitation.js';
export { Interrupted } from './incubation/launch/interrupted.js';
export { type PipelineOptions, runPipeline } from './incubation/launch/pipeline.js';
export { type PreparedRun, type PrepareOptions, prepareRun } from './incubation/launch/prepare.js';
export { metaDepths } from './incubation/meta-model.js';
export { type PhaseRun, runPhase } from './incubation/phase/run-phase.js';
export { type Phase, type PhaseName, phasesOf, type Source } from './incubation/phases.js';
export { blockPasses, type ImageCost, imageCost } from './incubation/plan/cost.js';
export type { CostRatios } from './incubation/plan/cost-variants.js';
export type { PhaseMemory } from './incubation/plan/memory.js';
export {
  type PhasePlan,
  planRun,
  type RunPlan,
  type TogetherPlan,
  type TrainImages,
} from './incubation/plan/plan.js';
export { defineRecipe, readRecipe } from './incubation/recipe/recipe.js';
export type { Recipe, RecipeInput } from './incubation/recipe/recipe-schema.js';
export {
  type BlockActivations,
  type Blueprint,
  type Divisible,
  Layer,
  type PartCost,
  type Pass,
  type Regime,
  Stage,
  StagedModel,
} from './models/staged.js';
export { type VitConfig, vit } from './models/vit.js';
export type { ActivationTape } from './nn/activation-checkpoint.js';
export type { InitContext } from './nn/init.js';
export type { PhaseStand, RunStand, StandState } from './report/run-stand.js';
export { runStand } from './report/run-status.js';
export { type ClassificationOptions, type ClassTarget, classification } from './tasks/classification.js';
export {
  type DistillationOptions,
  type DistillationTarget,
  distillation,
  type Teacher,
} from './tasks/distillation.js';
export { Generator } from './torch/random.js';
export { type AdamWOptions, adamw } from './training/adamw.js';
export { type EarlyStopOptions, earlyStop } from './training/early-stop.js';
export { type Ema, type EmaOptions, ema } from './training/ema.js';
export { type EvaluateOptions, type Evaluation, evaluate } from './training/evaluate.js';
export { type LambOptions, lamb } from './training/lamb.js';
export { layerDecayGroups } from './training/layer-decay.js';
export { type LionOptions, lion } from './training/lion.js';
export { decayGroups, type Optimizer, type ParameterGroup } from './training/optimizer.js';
export {
  type CosineOptions,
  epochCosine,
  multiStep,
  polynomial,
  type Schedule,
  type StepOptions,
  stepCosine,
  type WarmupOptions,
  wsd,
} from './training/schedule.js';
export { type SgdOptions, sgd } from './training/sgd.js';
export type { Predictions, Score, Task } from './training/task.js';
export {
  type Precision,
  type StepReport,
  type Trainable,
  type TrainOptions,
  train,
} from './training/trainer.js';
