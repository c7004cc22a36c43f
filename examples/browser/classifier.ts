import onnxProto from 'onnx-proto';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';

// Threads need headers that a plain server does not send.
env.wasm.numThreads = 1;
env.wasm.wasmPaths = { wasm };

/** The content of the model's metadata (docs/export.md). */
export interface Facts {
  readonly pixels: 'normalised' | '0..1';
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly imageSize: number;
  readonly resizeShorter: number;
  readonly classNames: readonly string[] | undefined;
}

export interface Classifier {
  readonly facts: Facts;
  /** @param pixels of one picture, [channels, S, S], as the model takes them @returns its logits */
  logits(pixels: Float32Array): Promise<Float32Array>;
}

/** Loads the model at `url`, and its weights if they are in a separate file. */
export async function loadClassifier(url: string): Promise<Classifier> {
  const bytes = await fetched(url);
  const { metadataProps, graph } = onnxProto.onnx.ModelProto.decode(bytes);
  const facts = factsOf(new Map(metadataProps?.map(({ key, value }) => [key ?? '', value ?? ''])));
  const locations = graph?.initializer?.flatMap(({ externalData }) =>
    (externalData ?? []).filter(({ key }) => key === 'location').map(({ value }) => value ?? ''),
  );
  const [location] = locations ?? [];
  const externalData = location ? [{ path: location, data: await fetched(`${url}.data`) }] : [];
  const session = await InferenceSession.create(bytes, { executionProviders: ['wasm'], externalData });
  const { imageSize, mean } = facts;
  return {
    facts,
    logits: async (pixels) => {
      const input = new Tensor('float32', pixels, [1, mean.length, imageSize, imageSize]);
      const { logits } = await session.run({ pixels: input });
      return logits.data as Float32Array;
    },
  };
}

async function fetched(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

function factsOf(metadata: ReadonlyMap<string, string>): Facts {
  const json = (key: string) => {
    const text = metadata.get(key);
    if (text === undefined) throw new Error(`The model does not state its ${key}: export it again.`);
    return JSON.parse(text);
  };
  return {
    pixels: metadata.get('pixels') === '0..1' ? '0..1' : 'normalised',
    mean: json('mean'),
    std: json('std'),
    imageSize: json('image_size'),
    resizeShorter: json('resize_shorter'),
    classNames: metadata.has('class_names') ? json('class_names') : undefined,
  };
}
