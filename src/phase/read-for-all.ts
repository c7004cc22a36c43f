import type { TensorData } from '../base/tensor-data.js';
import { broadcastBytes, broadcastTensors, type Crew, placesOf } from '../training/distributed/crew.js';

/** Tensors, and a description of them that JSON can represent. */
export interface Described<About> {
  readonly about: About;
  readonly tensors: readonly ReadonlyMap<string, TensorData>[];
}

/**
 * Reads tensors in rank 0, and sends them to the other processes that train together, so that a file is read and verified
 * once. All of these processes call it.
 * @param read `beat` is called regularly; see `Crew.led`. Returns undefined if there is nothing
 */
export async function readForAll<About>(
  { group, led }: Crew,
  read: (beat: () => void) => Promise<Described<About> | undefined>,
): Promise<Described<About> | undefined> {
  let found: Described<About> | undefined;
  let header = Buffer.alloc(0);
  const [length] = await led(1, async (beat) => {
    found = await read(beat);
    if (group === undefined || found === undefined) return [0];
    header = Buffer.from(JSON.stringify({ about: found.about, places: found.tensors.map(placesOf) }));
    return [header.length];
  });
  if (group === undefined || length === 0) return found;
  const text = Buffer.from(broadcastBytes(group, header, length)).toString();
  const { about, places }: Sent<About> = JSON.parse(text);
  const tensors = places.map((each, i) => broadcastTensors(group, each, found?.tensors[i]));
  return { about, tensors };
}

interface Sent<About> {
  readonly about: About;
  readonly places: readonly ReturnType<typeof placesOf>[];
}
