import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, CommanderError } from 'commander';
import { createProgram } from '../src/cli/declare/program.js';
import { readRecipe } from '../src/recipe/recipe.js';

// Extracts the commands of the pages, and checks them without running them.

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

/** Whether a block that is not marked as `sh` has our commands at the beginning of a line: it would not be tested. */
export function hidesCommands({ language, text }: Block): boolean {
  return (
    language !== 'sh' && /^(npx |npm run |torchrun |srun |ssh )?deep-incubation [a-z]|^npm run /m.test(text)
  );
}

/** The commands of a shell line, separated by `|`, `&&` or `;`, each as a list of words. Comments are left out. */
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
 * Parses a command as the command line would, and runs nothing.
 * @param partial whether arguments may be missing, as in prose
 * @throws Error if a command, an option or a setting of the recipe does not exist
 */
export async function checkCommand(words: readonly string[], { partial = false } = {}): Promise<void> {
  const at = words[0] === 'cd' ? -1 : words.indexOf('deep-incubation');
  if (at >= 0) await checkOurs(words.slice(at + 1), partial);
  else if (words[0] === 'npm') checkScript(words.slice(1));
  const missing = words.find(
    (word) => /^(recipes|docs|examples|scripts|bench)\//.test(word) && !existsSync(join(root, word)),
  );
  if (missing !== undefined) throw new Error(`${missing} does not exist`);
}

async function checkOurs(args: readonly string[], partial: boolean): Promise<void> {
  const program = createProgram() as unknown as Command;
  let used: Command | undefined;
  replaceActions(program, (command) => {
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

/** Replaces the action of each command: it prints nothing and calls `done`. */
function replaceActions(command: Command, done: (command: Command) => void): void {
  command.configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const each of command.commands) replaceActions(each, done);
  if (command.commands.length === 0) command.action(() => done(command));
}

/** Checks settings with the named recipe; the demo's recipe stands for a recipe of the user. */
function checkSettings(recipe: string | undefined, settings: readonly string[] | undefined): void {
  const path = recipe !== undefined && existsSync(join(root, recipe)) ? recipe : 'recipes/demo.yaml';
  if (settings !== undefined) readRecipe(join(root, path), settings);
}

/** Checks `npm run NAME`, `npm test`, and the bench that follows `--`. */
function checkScript([first, ...more]: readonly string[]): void {
  const { scripts } = JSON.parse(pageText('package.json'));
  const name = first === 'run' ? more[0] : first;
  if (scripts[name] === undefined) throw new Error(`package.json has no script ${name}`);
  const args = more.slice(more.indexOf('--') + 1);
  if (!more.includes('--')) return;
  if (name === 'bench' && !existsSync(join(root, 'bench', `${args[0]}.bench.ts`)))
    throw new Error(`there is no bench ${args[0]}`);
}
