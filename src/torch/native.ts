import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { errorText, InputError } from '../base/errors.js';
import { versions } from '../base/versions.js';

/** Identifies an object on the native side, such as a tensor or a generator. */
export type Handle = number;

/** Exports of the addon (native/addon.cc). Only this folder calls it. */
interface Native {
  resolve(name: string, overload: string): number;
  parameters(operator: number): Parameter[];
  call(operator: number, args: readonly unknown[]): unknown;
  release(handles: readonly Handle[]): void;
  liveHandles(): number;
  /** `waits`: whether to wait for a GPU to have the bytes. */
  fromBytes(
    bytes: Uint8Array,
    dtype: number,
    shape: readonly number[],
    device: string,
    waits: boolean,
  ): Handle;
  /** A tensor of the CPU, on a GPU, without waiting for it. */
  upload(handle: Handle, device: string): Handle;
  /** Starts to read an F64 tensor [n] of a GPU. */
  readLater(handle: Handle): Handle;
  laterValues(later: Handle): number[];
  toBytes(handle: Handle, into: Uint8Array): void;
  item(handle: Handle): number;
  shape(handle: Handle): number[];
  dtype(handle: Handle): number;
  device(handle: Handle): string;
  backward(losses: readonly Handle[], gradients: readonly Handle[]): void;
  requiresGrad(handle: Handle): boolean;
  setRequiresGrad(handle: Handle, flag: boolean): void;
  grad(handle: Handle): Handle | null;
  clearGrads(handles: readonly Handle[]): void;
  setGradMode(enabled: boolean): boolean;
  beginAutocast(deviceType: string, dtype: number): [enabled: number, dtype: number];
  endAutocast(deviceType: string, enabled: number, dtype: number): void;
  generator(device: string): Handle;
  seedGenerator(handle: Handle, seed: number): void;
  setThreads(threads: number): void;
  /** Sets this thread's current GPU. */
  setDevice(device: string): void;
  setTf32(on: boolean): void;
  hasNativeBfloat16(): boolean;
  cudaMemory(index: number): [current: number, peak: number] | null;
  beginProfile(): void;
  endProfile(): Record<string, [count: number, milliseconds: number]>;
  engine(): EngineInfo;
  collectives(): ('gloo' | 'nccl')[];
  joinGroup(
    name: string,
    host: string,
    port: number,
    serves: boolean,
    rank: number,
    size: number,
    timeoutMs: number,
    device: string,
  ): Handle;
  allReduce(group: Handle, tensors: readonly Handle[]): Handle;
  broadcast(group: Handle, tensors: readonly Handle[], from: number): void;
  barrier(group: Handle): Handle;
  waitWork(work: Handle): void;
  reducer(
    group: Handle,
    parameters: readonly Handle[],
    bucketBytes: number,
    firstBucketBytes: number,
  ): Handle;
  prepareReducer(reducer: Handle): void;
  checkReduced(reducer: Handle): void;
  /** `pixels` is the whole image, or the part of it that `part` describes. */
  runProgram(
    pixels: Uint8Array,
    width: number,
    height: number,
    channels: number,
    program: Float64Array,
    part?: NativePart,
  ): NativeImage;
  /** The region of an image that a program reads, and the result's size if the image may be shrunk first (else 0); null: all. */
  regionOf(
    program: Float64Array,
  ): [left: number, top: number, width: number, height: number, toWidth: number, toHeight: number] | null;
  openImages(
    sources: readonly (Omit<ImageFile, 'file'> & { readonly file: string | Buffer })[],
  ): Promise<OpenedFile[]>;
  runImages(
    jobs: readonly ImageJob[],
    channels: number,
    height: number,
    width: number,
    into: Uint8Array,
  ): Promise<(string | null)[]>;
  closeImages(handles: readonly Handle[]): void;
  liveImages(): number;
  setImageThreads(threads: number): void;
  jpegDecoder(): string;
}

/** The part of an image that pixels show. If there are fewer pixels than `width` x `height`, they are a shrunk version of it. */
export type NativePart = readonly [
  left: number,
  top: number,
  width: number,
  height: number,
  fullWidth: number,
  fullHeight: number,
];

/** 8-bit pixels, height x width x channels. */
export interface NativeImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** A file, or `bytes` bytes of it from `start`. */
export interface ImageFile {
  /** Path, with bytes that are not UTF-8 as in `nameOf`. */
  readonly file: string;
  readonly start?: number;
  readonly bytes?: number;
}

/** A JPEG in memory on the native side, the bytes of any other file, or the reason why the file cannot be read. */
export type OpenedFile =
  | {
      readonly handle: Handle;
      readonly width: number;
      readonly height: number;
      /** EXIF orientation, 1 to 8: how to turn the pixels upright. 1: they are upright. */
      readonly orientation: number;
    }
  | { readonly bytes: Buffer }
  | { readonly error: string };

/** A program (pixels.ts) for an opened JPEG or for pixels, and the batch slot of the result. */
export type ImageJob = {
  readonly program: Float64Array;
  readonly slot: number;
} & (
  | { readonly handle: Handle }
  | {
      readonly pixels: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly channels: number;
    }
);

/** A parameter of an operator: a tensor or generator handle, a list of handles, or a plain value. */
export interface Parameter {
  readonly name: string;
  readonly kind: 'tensor' | 'generator' | 'value';
}

/** Facts about the loaded libtorch, and what it found on this machine. */
export interface EngineInfo {
  readonly libtorch: string;
  readonly threads: number;
  readonly cudaDevices: number;
  /** CUDA version of the build, e.g. `13.0`; empty without CUDA. */
  readonly cuda: string;
  /** Instruction set that libtorch's own kernels use, e.g. `AVX512`. */
  readonly cpuCapability: string;
  readonly mkl: string;
  readonly mkldnn: string;
  readonly openmp: string;
}

/** Path of the addon, which the set-up builds. */
export const addonPath = fileURLToPath(new URL('../../native/build/deep_incubation.node', import.meta.url));

function load(): Native {
  const hint = 'run `npx deep-incubation setup`: it finds or downloads libtorch and builds the addon';
  if (!existsSync(addonPath)) throw new InputError(`the native addon is not built: ${addonPath}`, { hint });
  limitSpinning(process.env);
  growSegments(process.env, versions().libtorch);
  try {
    return createRequire(import.meta.url)(addonPath) as Native;
  } catch (error) {
    throw new InputError(
      `the native addon failed to load; libtorch is missing or was changed: ${errorText(error)}`,
      {
        hint,
        cause: error,
      },
    );
  }
}

// Loaded on first use: libtorch takes a third of a second, which a program that only reads files does not need.
export const native: Native = new Proxy({} as Native, {
  get(functions, name) {
    if (!(name in functions)) Object.assign(functions, load());
    return Reflect.get(functions, name);
  },
});

/**
 * How often a thread of libtorch's operators looks for new work before it sleeps. GNU OpenMP's own count is 300,000, which takes
 * milliseconds: on a busy machine, a waiting thread then occupies the core that the other thread needs, and a step takes up to 20
 * times as long. 2,000 spins take tens of microseconds, the gap between two operators. On a machine that is already overloaded, not
 * spinning is two to three times as fast again; on an idle one it costs time. The count changes no result, only how threads wait.
 * Measured by bench/threads.bench.ts; see "Threads sleep after a short spin" in docs/decisions.md.
 */
const SPINS = '2000';

/** Runnable processes per core from which a machine counts as overloaded. Our own training makes it one per core. */
const OVERLOADED = 1.5;

/** Of the whole machine. */
interface MachineLoad {
  /** Runnable processes, averaged over a minute. */
  readonly load: number;
  readonly cores: number;
}

/**
 * Sets how OpenMP's threads wait, which OpenMP reads when libtorch is loaded. A setting of the user is kept.
 * @param machine by default, this machine now
 */
export function limitSpinning(env: NodeJS.ProcessEnv, machine: MachineLoad = machineLoad()): void {
  if (env.OMP_WAIT_POLICY !== undefined || env.GOMP_SPINCOUNT !== undefined) return;
  env.GOMP_SPINCOUNT = machine.load > OVERLOADED * machine.cores ? '0' : SPINS;
}

/**
 * Lets CUDA's allocator extend its segments, so that memory fragments less when batches differ in size. libtorch reads it when a
 * GPU is first used; 2.9 renamed the variable. A setting of the user is kept.
 */
export function growSegments(env: NodeJS.ProcessEnv, libtorch = ''): void {
  if (env.PYTORCH_CUDA_ALLOC_CONF !== undefined || env.PYTORCH_ALLOC_CONF !== undefined) return;
  const isOld = /^2\.[0-8]\b/.test(libtorch);
  env[isOld ? 'PYTORCH_CUDA_ALLOC_CONF' : 'PYTORCH_ALLOC_CONF'] = 'expandable_segments:True';
}

function machineLoad(): MachineLoad {
  const [load = 0] = loadavg();
  return { load, cores: Math.max(1, cpus().length) };
}
