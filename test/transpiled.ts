import { readFileSync } from 'node:fs';
import typescript from 'typescript';

/** A source file as JavaScript, for a process of its own: what it imports must not be ours. */
export function transpiled(path: URL): string {
  const { ModuleKind, ScriptTarget, transpileModule } = typescript;
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  return transpileModule(readFileSync(path, 'utf8'), { compilerOptions }).outputText;
}
