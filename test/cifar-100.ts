import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Images in CIFAR-100's binary layout. */
export function writeCifar100(
  folder: string,
  counts: { readonly train: number; readonly test: number },
): void {
  for (const [part, count] of Object.entries(counts))
    writeFileSync(join(folder, `${part}.bin`), records(count));
}

/** Two classes, dark and bright noise: a coarse and a fine label, then the pixels, channel by channel. */
function records(count: number): Uint8Array {
  const pixels = 3 * 32 * 32;
  const bytes = new Uint8Array(count * (2 + pixels));
  for (let i = 0; i < count; i++) {
    const label = i % 2;
    const record = [
      0,
      label,
      ...Array.from({ length: pixels }, (_, j) => ((j * 7919 + i * 104_729) % 160) + label * 60),
    ];
    bytes.set(record, i * (2 + pixels));
  }
  return bytes;
}
