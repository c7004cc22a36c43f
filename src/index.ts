/**
 * Divide-and-conquer training of vision models: `divide` a model into modules, train each one in its `hybrid`, `assemble` them,
 * and continue with `train`. To run a whole recipe, call `runRecipe`. Layers and tensor operators for
 * your own models are in `deep-incubation/nn`.
 *
 * @module deep-incubation
 */

export { DeepIncubationError, InputError, Interrupted, RunError } from './base/errors.js';
export { type RandomKey, type RandomStream, randomStream } from './base/random.js';
export type { DType, TensorData } from './base/tensor-data.js';
export type { KnownClasses } from './data/class-names.js';
export type { Batch, Box, Dataset, EncodedImage, Image, Mix, Shrink } from './data/dataset.js';
export { evalFolder, type FolderOptions, imageFolder, imageFolders } from './data/formats/folder.js';
export { fashionMnist } from './data/formats/idx.js';
export type { StepImages } from './data/loader/batch.js';
export {
  type EvalBatchesOptions,
  evalBatches,
  type TrainBatchesOptions,
  trainBatches,
} from './data/loader/loader.js';
export type { AnnotatedImage, AnnotatedObject, CocoSegmentation } from './data/objects.js';
export { type DatasetPair, type OpenDatasetOptions, openDataset } from './data/open/open-dataset.js';
export type { PassedOver } from './data/passed-over.js';
export type { Split, SplitChoice } from './data/splits.js';
export { type DeitTransformOptions, deitTransform } from './data/transforms/deit-transform.js';
export type { PixelProgram, PixelStep } from './data/transforms/pixels.js';
export {
  evalTransform,
  type FixedTransform,
  type ImageSize,
  type Transform,
} from './data/transforms/transform.js';
export type { BundleContent, BundleFile } from './launch/exchange/bundle.js';
export { type PackOptions, packModule, packWork } from './launch/exchange/bundle-pack.js';
export {
  type Unpacked,
  type UnpackOptions,
  unpackModule,
  unpackWork,
} from './launch/exchange/bundle-unpack.js';
export { type Redone, type RedoOptions, redoPhase } from './launch/exchange/redo.js';
export type { FeatureBatch } from './launch/features/image-features.js';
export type {
  KnnOptions,
  KnnResult,
  LinearResult,
  ProbeImages,
  ProbeResult,
  ProbeSettings,
} from './launch/features/probe.js';
export { type PipelineOptions, runPipeline } from './launch/pipeline.js';
export { type ImagePrediction, type PredictedClass, type PredictOptions, predict } from './launch/predict.js';
export { type PreparedRun, type PrepareOptions, planRun, prepareRun } from './launch/prepare.js';
export type { QueuedJob } from './launch/slurm/slurm-jobs.js';
export {
  type CheckpointFeaturesOptions,
  checkpointFeatures,
  probeCheckpoint,
} from './library/checkpoint-features.js';
export { type EvaluateCheckpointOptions, evaluateCheckpoint } from './library/evaluate-checkpoint.js';
export {
  type RecipePhaseRun as PhaseRun,
  type RunRecipeOptions,
  runRecipe,
  runRecipePhase as runPhase,
} from './library/run-recipe.js';
export { type AssembleOptions, assemble, type StageWeights } from './method/assemble.js';
export { divide, metaDepths } from './method/divide.js';
export { grow } from './method/grow.js';
export type { ModuleInit } from './method/grow-plan.js';
export { hybrid, hybridDepths, hybridRegimes } from './method/hybrid.js';
export { imitation } from './method/imitation.js';
export type { UperNetConfig } from './models/dense/decoder-config.js';
export type { DetectorConfig } from './models/detection/detector-config.js';
export type {
  AssumedSection,
  Assumption,
  Headless,
  ModelConfig,
  ModelFamily,
  ModelSection,
  StatedKey,
  WeightsFacts,
} from './models/family.js';
export type {
  ConfigFacts,
  ForeignLayout,
  Layout,
  LayoutFacts,
  ModelHints,
  PythonUse,
  StatedModel,
} from './models/layout.js';
export { type ModelFile, type ReadModelOptions, readModelFile } from './models/model-file/model-file.js';
export type { FileClasses } from './models/model-file/model-file-classes.js';
export { divideStages, type WriteOptions, writeModelFile } from './models/model-file/model-file-write.js';
export { defineFamily, type OwnBlueprint, type OwnConfig, type OwnFamily } from './models/own-family.js';
export type { ResnetConfig } from './models/resnet/geometry.js';
export { resnet } from './models/resnet/resnet.js';
export {
  type BlockActivations,
  type BlockCost,
  type BlockPlace,
  type BlockSpan,
  type Blueprint,
  type Divisible,
  type DropPathSchedule,
  Layer,
  type ModelCost,
  type PartCost,
  type Pass,
  type Regime,
  Stage,
  StagedModel,
  type TensorCost,
} from './models/staged.js';
export type { VitConfig } from './models/vit/config.js';
export { vit } from './models/vit/vit.js';
export type { ActivationTape } from './nn/activation-checkpoint.js';
export type { InitContext } from './nn/init.js';
export type { Graph, GraphOptions } from './onnx/graph.js';
export type { ParentOptions } from './phase/one-parent.js';
export {
  blockPasses,
  type CostRatios,
  type Division,
  type ImageCost,
  imageCost,
  type PlannedStage,
} from './plan/cost.js';
export type { PhaseMemory } from './plan/memory.js';
export type {
  PhasePlan,
  RunPlan,
  TogetherPlan,
  TrainImages,
} from './plan/plan.js';
export { compile as phasesOf } from './recipe/compile.js';
export type { Lineage } from './recipe/lineage.js';
export type { DataOfRun, DataOwner, Phase, PhaseName, Source } from './recipe/phase.js';
export { defineRecipe, type OwnRecipeInput, type RecipeOptions, readRecipe } from './recipe/recipe.js';
export type { DataSettings } from './recipe/recipe-data.js';
export type { RunSettings } from './recipe/recipe-run.js';
export type { Recipe, RecipeInput } from './recipe/recipe-schema.js';
export type { PhaseOverview, RunStatus } from './report/phase-condition.js';
export { readRunStatus } from './report/run-status.js';
export { type Metric, type Scored, scoreOf, type TaskMetrics } from './run/metric.js';
export { readMetrics } from './run/metrics-log.js';
export type { Activity, Status } from './run/phase-status.js';
export type { EvalRecord, MetricRecord, PhaseResult, StageRecord, StepRecord } from './run/records.js';
export {
  type ClassificationOptions,
  type ClassTarget,
  classification,
} from './tasks/classification/classification.js';
export type { KnnMetric } from './tasks/classification/knn-metrics.js';
export {
  type DistillationOptions,
  type DistillationTarget,
  distillation,
  type Teacher,
} from './tasks/distillation.js';
export { type Precision, precisionOn } from './torch/precision.js';
export { Generator } from './torch/random.js';
export type { DataParallel } from './training/distributed/data-parallel.js';
export type { ProcessGroup } from './training/distributed/process-group.js';
export { type EarlyStopOptions, earlyStop } from './training/early-stop.js';
export { type Ema, type EmaOptions, ema } from './training/ema.js';
export { type EvaluateOptions, type Evaluation, evaluate } from './training/evaluate.js';
export { type AdamWOptions, adamw } from './training/optimizers/adamw.js';
export { type LambOptions, lamb } from './training/optimizers/lamb.js';
export { layerDecayGroups } from './training/optimizers/layer-decay.js';
export { type LionOptions, lion } from './training/optimizers/lion.js';
export { type MuonOptions, muon } from './training/optimizers/muon.js';
export { decayGroups, type Optimizer, type ParameterGroup } from './training/optimizers/optimizer.js';
export { type SgdOptions, sgd } from './training/optimizers/sgd.js';
export {
  blendedCosine,
  type CosineOptions,
  type EpochOptions,
  epochCosine,
  multiStep,
  polynomial,
  type Schedule,
  type StepOptions,
  stepCosine,
  type WarmupOptions,
  wsd,
} from './training/schedule.js';
export type { StepReport } from './training/step-values.js';
export type {
  ClassPrecision,
  ImageFindings,
  Predictions,
  Score,
  Sums,
  Task,
} from './training/task.js';
export {
  type Trainable,
  type TrainOptions,
  train,
} from './training/trainer.js';
export { type HubOptions, localCheckpoint } from './weights/hub/hub.js';
export type { PixelFacts } from './weights/layout/layout-processor.js';
export type { EndOf, StageTensors } from './weights/layout/model-file-stages.js';
export type { ChosenWeights, WeightsKind } from './weights/layout/weights-choice.js';
export type { LazyTensor } from './weights/lazy-tensor.js';
