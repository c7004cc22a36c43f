const BARS = '▁▂▃▄▅▆▇█';
const KEPT = 256;

/** The history of a phase's loss, thinned as it grows, so that the whole phase stays visible. */
export interface LossSparkline {
  add(loss: number): void;
  clear(): void;
  /** At most `width` characters. Each is the mean of an equal share of the steps; the highest mean is a full bar. */
  draw(width: number): string;
}

export function lossCurve(): LossSparkline {
  let losses: number[] = [];
  let stride = 1;
  let seen = 0;
  return {
    add(loss) {
      if (seen++ % stride !== 0 || !Number.isFinite(loss)) return;
      losses.push(loss);
      if (losses.length < KEPT) return;
      losses = losses.filter((_, i) => i % 2 === 0);
      stride *= 2;
    },
    clear() {
      losses = [];
      stride = 1;
      seen = 0;
    },
    draw(width) {
      const count = Math.min(width, losses.length);
      const means = Array.from({ length: count }, (_, i) => {
        const part = losses.slice(
          Math.floor((i * losses.length) / count),
          Math.floor(((i + 1) * losses.length) / count),
        );
        return part.reduce((a, b) => a + b, 0) / part.length;
      });
      const [low, high] = [Math.min(...means), Math.max(...means)];
      const level = (mean: number) => (high > low ? (mean - low) / (high - low) : 0);
      return means.map((mean) => BARS[Math.round(level(mean) * (BARS.length - 1))]).join('');
    },
  };
}
