/** Quotes a word for a shell command or an #SBATCH line, if it needs quotes. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command of this program as a user types it; the same in a clone and in an installed package. */
export function ownCommand(...words: readonly string[]): string {
  return ['npx deep-incubation', ...words.map(quoted)].join(' ');
}
