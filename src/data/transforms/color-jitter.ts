import type { PixelStep } from './pixels.js';
import type { Transform } from './transform.js';

const OPERATIONS = ['brightness', 'contrast', 'color'] as const satisfies PixelStep['op'][];

/**
 * Changes brightness, contrast and saturation in a random order, each by a separate factor, uniform in
 * [max(0, 1 - strength), 1 + strength]. This is torchvision's ColorJitter without hue. DeiT's strength, without auto-augment,
 * is 0.4.
 */
export function colorJitter(strength: number): Transform {
  if (strength === 0) return () => [];
  const low = Math.max(0, 1 - strength);
  return (_, random) => {
    const steps = OPERATIONS.map((op) => ({ op, factor: low + (1 + strength - low) * random.uniform() }));
    // Draws the first of the three, then the order of the other two: all six orders are equally likely.
    const [first] = steps.splice(random.integer(0, 2), 1);
    return random.integer(0, 1) === 0 ? [first, ...steps] : [first, ...steps.reverse()];
  };
}
