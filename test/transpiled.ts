import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import typescript from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Writes a source file, and those of ours that it imports, as JavaScript into `folder`, for a process of its own.
 * @returns the file to import
 */
export function transpileInto(folder: string, source: URL): string {
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return transpile(folder, source);
}

function transpile(folder: string, source: URL): string {
  const text = readFileSync(source, 'utf8');
  const { ModuleKind, ScriptTarget, preProcessFile, transpileModule } = typescript;
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  const target = join(folder, relative(root, fileURLToPath(source)).replace(/\.ts$/, '.js'));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, transpileModule(text, { compilerOptions }).outputText);
  for (const { fileName } of preProcessFile(text).importedFiles) {
    if (fileName.startsWith('.')) transpile(folder, new URL(fileName.replace(/\.js$/, '.ts'), source));
  }
  return target;
}
