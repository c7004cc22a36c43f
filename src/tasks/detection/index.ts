/**
 * Detection and instance segmentation: COCO's files and evaluation.
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
  segmentationRle,
} from '../../data/coco/segmentation.js';
export { type CocoEvaluation, type CocoFigure, cocoEvaluate } from './coco-evaluate.js';
