import { DeepIncubationError } from '../base/errors.js';

/** libtorch refused a call: names the operator and its operands' dtypes and shapes. */
export class TorchError extends DeepIncubationError {}

/** A tensor was used after it was freed, by `free()` or by the end of its scope. */
export class FreedTensorError extends DeepIncubationError {}
