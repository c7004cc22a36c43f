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
export { type AnchorOptions, makeAnchors } from './anchors.js';
export type { FoundBox } from './best-objects.js';
export { BoxHead, type BoxOutput } from './box-head.js';
export { type BoxWeights, boxIou, decodeBoxes, encodeBoxes } from './boxes.js';
export { type CocoEvaluation, type CocoFigure, cocoEvaluate } from './coco-evaluate.js';
export type { CocoKind } from './coco-iou.js';
export { Fpn } from './fpn.js';
export { MaskHead } from './mask-head.js';
export { pasteMask } from './mask-paste.js';
export {
  type FoundObject,
  MaskRcnn,
  type MaskRcnnLosses,
  type MaskRcnnLossOptions,
  type MaskRcnnSizes,
} from './mask-rcnn.js';
export { type MaskTargetOptions, maskTarget } from './mask-target.js';
export { type BoxMatches, type MatchOptions, matchBoxes } from './match-boxes.js';
export { nms } from './nms.js';
export { nmsOnDevice } from './nms-on-device.js';
export type { ObjectsInImage } from './positives.js';
export { type FeatureMap, type Regions, roiAlign } from './roi-align.js';
export { RpnHead, type RpnOutput } from './rpn.js';
export { type SampleOptions, sampleBoxes } from './sample-boxes.js';
export { VitPyramid } from './tap-pyramid.js';
export { type TokenGrid, windowAttention } from './window-attention.js';
export { type BackbonePass, VitBackbone, type VitBackboneConfig } from './window-backbone.js';
