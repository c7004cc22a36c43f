import { InputError } from '../../base/errors.js';
import { elementCount, type TensorData } from '../../base/tensor-data.js';
import { replaceFile } from '../../files/file-bytes.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { safetensorsWriter } from '../../weights/safetensors/safetensors.js';
import { joinBy } from '../divide-stages.js';
import { CLASS_NAMES, type ForeignLayout } from '../layout.js';
import { resnetEndOf } from './geometry.js';

// Converts between the names of a ResNet with basic blocks in torchvision (`layer1.0.conv1.weight`) and here
// (`blocks.0.conv1.weight`). Programs for CIFAR use torchvision's names, except for the head (`linear`) and a block's projection
// (`shortcut`).

const BLOCK = /^layer(\d+)\.(\d+)\.(.+)$/;
const COUNTER = 'num_batches_tracked';

export const torchvision: ForeignLayout = {
  name: 'torchvision',
  // torchvision has no ResNet for CIFAR that could load the weights.
  library: 'deep-incubation',
  isDivided: false,
  isFolder: false,
  storesFacts: 'never',
  recognises: isTorchvision,
  read: (state, path) => ({ stages: [fromTorchvision(state, path)], leftOut: [] }),
  write(path, stages, { classNames }) {
    const names = classNames && { [CLASS_NAMES]: JSON.stringify(classNames) };
    const tensors = toTorchvision(joinBy(resnetEndOf, stages, path));
    replaceFile(path, safetensorsWriter(tensors, { format: 'pt', ...names }));
  },
};

/** Whether these names belong to a ResNet in torchvision's layout. */
function isTorchvision(names: Iterable<string>): boolean {
  const all = new Set(names);
  return all.has('conv1.weight') && all.has('layer1.0.conv1.weight');
}

/**
 * Renames an undivided ResNet's tensors to this program's names. A batch norm without a counter (PyTorch before 0.4.1) gets
 * one with the value 0.
 * @throws InputError for a tensor that a ResNet with basic blocks does not have
 */
function fromTorchvision(state: ReadonlyMap<string, LazyTensor>, path: string): Map<string, LazyTensor> {
  const layers = layersOf(state.keys());
  const renamed = new Map<string, LazyTensor>();
  for (const [name, tensor] of state) {
    const [, layer, index, rest] = BLOCK.exec(name) ?? [];
    const ours =
      layer === undefined
        ? name.replace(/^linear\./, 'fc.')
        : `blocks.${(layers.get(Number(layer)) ?? 0) + Number(index)}.${rest.replace(/^shortcut\./, 'downsample.')}`;
    if (!/^(conv1|bn1|fc|blocks\.\d+\.(conv[12]|bn[12]|downsample\.[01]))\.\w+$/.test(ours)) {
      throw new InputError(`${path}: a ResNet with basic blocks has no tensor ${name}`, {
        hint: 'ResNets with bottleneck blocks, and other architectures with such names, are not supported',
      });
    }
    renamed.set(ours, tensor);
  }
  for (const name of [...renamed.keys()]) {
    const counter = name.replace(/running_mean$/, COUNTER);
    if (counter !== name && !renamed.has(counter)) renamed.set(counter, zeroCount());
  }
  return renamed;
}

/** The number of blocks before each layer. */
function layersOf(names: Iterable<string>): Map<number, number> {
  const blocks = new Map<number, number>();
  for (const name of names) {
    const [, layer, index] = BLOCK.exec(name) ?? [];
    if (layer === undefined) continue;
    blocks.set(Number(layer), Math.max(blocks.get(Number(layer)) ?? 0, Number(index) + 1));
  }
  let before = 0;
  const starts = new Map<number, number>();
  for (const [layer, count] of [...blocks].sort(([a], [b]) => a - b)) {
    starts.set(layer, before);
    before += count;
  }
  return starts;
}

function zeroCount(): LazyTensor {
  const shape: readonly number[] = [];
  const bytes = 8 * elementCount(shape);
  return {
    dtype: 'I64',
    shape,
    load: async () => ({ dtype: 'I64', shape, data: new Uint8Array(bytes) }),
    loadInto: async (target) => {
      target.fill(0);
    },
    claim: () => {},
  };
}

/** Renames an undivided ResNet's tensors to torchvision's names, with one layer per width. */
function toTorchvision(model: ReadonlyMap<string, TensorData>): Map<string, TensorData> {
  const places = new Map<string, string>();
  let [layer, index, width] = [0, 0, 0];
  for (let block = 0; ; block++) {
    const outputs = model.get(`blocks.${block}.conv1.weight`)?.shape[0];
    if (outputs === undefined) break;
    if (outputs !== width) [layer, index, width] = [layer + 1, 0, outputs];
    places.set(String(block), `layer${layer}.${index}`);
    index += 1;
  }
  return new Map(
    [...model].map(([name, tensor]) => [
      name.replace(/^blocks\.(\d+)/, (whole, block: string) => places.get(block) ?? whole),
      tensor,
    ]),
  );
}
