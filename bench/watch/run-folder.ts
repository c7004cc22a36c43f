import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The phase that keeps growing, in addition to PT, which has the long history. */
const GROWING = 'MT/0';

/** Writes a run folder whose meta model has `records` step records. */
export function writeLongRun(root: string, records: number): void {
  const steps = 10 * records;
  const phases = [
    { phase: 'PT', steps, depths: [1, 1], needs: [], block_passes: steps },
    { phase: GROWING, steps: 10_000_000, depths: [8, 1], needs: ['PT'], block_passes: steps },
  ];
  for (const { phase } of phases) mkdirSync(join(root, phase), { recursive: true });
  writeFileSync(join(root, 'recipe.json'), JSON.stringify({ name: 'long', seed: 0 }));
  writeFileSync(join(root, 'plan.json'), JSON.stringify({ phases }));
  const path = join(root, 'PT/metrics.jsonl');
  writeFileSync(path, '');
  for (let done = 0; done < records; done += PIECE) {
    appendFileSync(path, lines('PT', done, Math.min(PIECE, records - done), steps));
  }
  appendRecords(root, 0, 100);
}

const PIECE = 20_000;

/** Appends `count` records to the growing phase. */
export function appendRecords(root: string, from: number, count: number): void {
  appendFileSync(join(root, GROWING, 'metrics.jsonl'), lines(GROWING, from, count, 10_000_000));
}

/** Records in the trainer's format. */
function lines(phase: string, from: number, count: number, steps: number): string {
  return Array.from({ length: count }, (_, i) => {
    const step = 10 * (from + i + 1);
    const noise = Math.sin(step * 12.9898);
    const record = {
      kind: 'step',
      phase,
      epoch: Math.floor(step / 1000),
      step,
      steps,
      loss: 2.3 / (1 + step / 20_000) + 0.07 * noise,
      lr: 0.001,
      images_per_second: 1500 + 40 * noise,
      images: step * 64,
      block_passes: step * 64 * 12,
      seconds: step * 0.04271,
      data_wait: 0.02,
      memory_bytes: 1_300_234_240,
      grad_norm: 1.2 + 0.3 * noise,
    };
    return `${JSON.stringify(record)}\n`;
  }).join('');
}
