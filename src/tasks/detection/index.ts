/**
 * Detection and instance segmentation: COCO's files and evaluation, operations on boxes and regions, Mask R-CNN, and a Vision
 * Transformer as its backbone.
 * `import ... from 'deep-incubation/detection'`.
 *
 * @module detection
 */
export {
  type CocoAnnotation,
  type CocoAnnotations,
  type CocoBox,
  type CocoCategory,
  type CocoImage,
  readCocoAnnotations,
} from '../../data/coco/annotations.js';
export { polygonsRle } from '../../data/coco/polygon.js';
export { type CocoResult, readCocoResults, writeCocoResults } from '../../data/coco/results.js';
export { decodeRle, encodeRle, mergeRles, type Rle, rleArea, rleIou } from '../../data/coco/rle.js';
export {
  type CocoRle,
  type CocoSegmentation,
  compressRle,
  type ImageSides,
  segmentationRle,
} from '../../data/coco/segmentation.js';
export type { ObjectsInImage } from '../../data/objects.js';
export { type AnchorOptions, makeAnchors } from '../../models/detection/anchors.js';
export type { FoundBox } from '../../models/detection/best-objects.js';
export { BoxHead, type BoxOutput } from '../../models/detection/box-head.js';
export { type BoxWeights, boxIou, decodeBoxes, encodeBoxes } from '../../models/detection/boxes.js';
export { Fpn } from '../../models/detection/fpn.js';
export { MaskHead } from '../../models/detection/mask-head.js';
export { pasteMask } from '../../models/detection/mask-paste.js';
export {
  type DetectOptions,
  type FoundObject,
  MaskRcnn,
  type MaskRcnnLosses,
  type MaskRcnnLossOptions,
  type MaskRcnnSizes,
} from '../../models/detection/mask-rcnn.js';
export { type MaskTargetOptions, maskTarget } from '../../models/detection/mask-target.js';
export { type BoxMatches, type MatchOptions, matchBoxes } from '../../models/detection/match-boxes.js';
export { nms, nmsOnDevice } from '../../models/detection/nms.js';
export type { ProposalOptions } from '../../models/detection/proposals.js';
export { type FeatureMap, type Regions, roiAlign } from '../../models/detection/roi-align.js';
export { RpnHead, type RpnOutput } from '../../models/detection/rpn.js';
export { type SampleOptions, sampleBoxes } from '../../models/detection/sample-boxes.js';
export { VitPyramid } from '../../models/detection/tap-pyramid.js';
export { type TokenGrid, windowAttention } from '../../models/detection/window-attention.js';
export { type CocoEvaluation, type CocoFigure, cocoEvaluate } from './coco-evaluate.js';
export type { CocoKind } from './coco-iou.js';
export { type BackbonePass, VitBackbone, type VitBackboneConfig } from './window-backbone.js';
