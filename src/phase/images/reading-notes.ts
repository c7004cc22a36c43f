import type { ModelFile } from '../../models/model-file/model-file.js';

const MOST_NAMES = 8;

/**
 * Notes for the user on how a file's weights were read, one line each: whether plain or averaged weights were used, and
 * which tensors were left out.
 * @param option the option or setting that selects the other kind, such as `--weights`
 */
export function readingNotes(
  { path, chosen, leftOut }: Pick<ModelFile, 'path' | 'chosen' | 'leftOut'>,
  option = '--weights ',
): string[] {
  const notes: string[] = [];
  if (chosen !== undefined) {
    const { kind, from, others } = chosen;
    const what = kind === 'ema' ? 'averaged weights (ema)' : 'weights as trained (raw)';
    const other = kind === 'ema' ? 'raw' : 'ema';
    const rest =
      others.length === 0 ? '' : `; not used: ${others.join(', ')} (${option}${other} selects them)`;
    notes.push(`${path}: ${what}, from ${from}${rest}`);
  }
  if (leftOut.length > 0) {
    const count = `${leftOut.length} tensor${leftOut.length === 1 ? '' : 's'}`;
    notes.push(`${path}: ${count} ignored, because the model does not use them: ${namesOf(leftOut)}`);
  }
  return notes;
}

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).join(', ');
  return names.length > MOST_NAMES ? `${shown} and ${names.length - MOST_NAMES} more` : shown;
}
