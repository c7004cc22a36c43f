import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, CommanderError } from 'commander';
import { createProgram } from '../src/cli/declare/program.js';
import { readRecipe } from '../src/recipe/recipe.js';

// The pages' commands: to be read from them, and to be checked without being run.

const root = fileURLToPath(new URL('..', import.meta.url));

export const PAGES = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter(
  (name) => name.endsWith('.md'),
);

export const pageText = (page: string): string => readFileSync(join(root, page), 'utf8');

export interface Block {
  readonly language: string;
  readonly text: string;
}

export function blocksOf(page: string): Block[] {
  const fence = /^```(\w*)\n(.*?)^```/gms;
  return [...pageText(page).matchAll(fence)].map(([, language, text]) => ({ language, text }));
}

/** Whether a block that is no `sh` has our commands at the beginning of a line: nobody would run it. */
export function hidesCommands({ language, text }: Block): boolean {
  return (
    language !== 'sh' && /^(npx |npm run |torchrun |srun |ssh )?deep-incubation [a-z]|^npm run /m.test(text)
  );
}

/** The commands that a line of a shell joins by `|`, `&&` or `;`, each in its words. Comments are left out. */
export function commandsOf(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const [word] of line.matchAll(/#.*|\|\|?|&&|;|(?:'[^']*'|"[^"]*"|\$\([^)]*\)|[^\s'"|;&])+/g)) {
    if (word.startsWith('#')) break;
    if (/^(\|\|?|&&|;)$/.test(word)) commands.push([]);
    else commands[commands.length - 1].push(word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'));
  }
  return commands.filter((words) => words.length > 0);
}

/**
 * Reads a command as the command line would, and runs nothing: throws where a command, an option or a recipe's setting is
 * not there. `partial`: it may lack arguments, as in prose.
 */
export async function checkCommand(words: readonly string[], { partial = false } = {}): Promise<void> {
  const at = words[0] === 'cd' ? -1 : words.indexOf('deep-incubation');
  if (at >= 0) await checkOurs(words.slice(at + 1), partial);
  else if (words[0] === 'npm') checkScript(words.slice(1));
  const missing = words.find(
    (word) => /^(recipes|docs|examples|scripts|bench)\//.test(word) && !existsSync(join(root, word)),
  );
  if (missing !== undefined) throw new Error(`${missing} is not there`);
}

async function checkOurs(args: readonly string[], partial: boolean): Promise<void> {
  const program = createProgram() as unknown as Command;
  let used: Command | undefined;
  silence(program, (command) => {
    used = command;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (partial && error instanceof CommanderError && PARTIAL.includes(error.code)) return;
    throw error;
  }
  checkSettings(used?.args[0], used?.opts().set);
}

const PARTIAL = ['commander.missingArgument', 'commander.missingMandatoryOptionValue', 'commander.help'];

/** Commands that print nothing and, in place of their work, say that it was their turn. */
function silence(command: Command, done: (command: Command) => void): void {
  command.configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const each of command.commands) silence(each, done);
  if (command.commands.length === 0) command.action(() => done(command));
}

/** Settings are those of the recipe that is named, or of the user's own, which any other stands for. */
function checkSettings(recipe: string | undefined, settings: readonly string[] | undefined): void {
  const path = recipe !== undefined && existsSync(join(root, recipe)) ? recipe : 'recipes/demo.yaml';
  if (settings !== undefined) readRecipe(join(root, path), settings);
}

/** `npm run NAME`, `npm test`, and the bench or the options that follow `--`. */
function checkScript([first, ...more]: readonly string[]): void {
  const { scripts } = JSON.parse(pageText('package.json'));
  const name = first === 'run' ? more[0] : first;
  if (scripts[name] === undefined) throw new Error(`package.json has no script ${name}`);
  const args = more.slice(more.indexOf('--') + 1);
  if (!more.includes('--')) return;
  if (name === 'bench' && !existsSync(join(root, 'bench', `${args[0]}.bench.ts`)))
    throw new Error(`there is no bench ${args[0]}`);
}
