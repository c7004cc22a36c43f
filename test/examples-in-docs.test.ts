import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { assemble } from '../src/method/assemble.js';
import { writeModelFile } from '../src/models/model-file/model-file-write.js';
import { vit } from '../src/models/vit/vit.js';
import { weightsOf } from '../src/nn/weights.js';
import { Generator } from '../src/torch/random.js';
import { temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The packages that a user imports, and the files of their sources and output. */
const ENTRIES = {
  'deep-incubation': 'index',
  'deep-incubation/nn': 'nn/index',
  'deep-incubation/detection': 'tasks/detection/index',
} as const;
type Entry = keyof typeof ENTRIES;

interface Export {
  readonly entry: Entry;
  readonly name: string;
  readonly examples: readonly string[];
}

const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config,
  ts.sys,
  root,
);
const sources = Object.values(ENTRIES).map((file) => join(root, `src/${file}.ts`));
const exported = exportsOf(ts.createProgram(sources, options));
const examples = exported.flatMap(({ entry, name, examples }) =>
  examples.map((text, i) => ({
    title: `${entry}: ${name}${i > 0 ? ` ${i + 1}` : ''}`,
    code: asModule(entry, text),
  })),
);

/** All exported values; re-exports are followed to the declaration that has the comment. */
function exportsOf(program: ts.Program): Export[] {
  const checker = program.getTypeChecker();
  return Object.entries(ENTRIES).flatMap(([entry, file]) => {
    const source = program.getSourceFile(join(root, `src/${file}.ts`)) as ts.SourceFile;
    const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(source) as ts.Symbol);
    return symbols.flatMap((symbol) => {
      const found = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      if (!(found.flags & ts.SymbolFlags.Value)) return [];
      const tags = found.getJsDocTags(checker).filter(({ name }) => name === 'example');
      const texts = tags.map(({ text }) => ts.displayPartsToString(text));
      return [{ entry: entry as Entry, name: symbol.name, examples: texts }];
    });
  });
}

/** Adds the imports that an example omits; the entry point of the example takes precedence. */
function asModule(own: Entry, text: string): string {
  const entries = [own, ...(Object.keys(ENTRIES) as Entry[]).filter((entry) => entry !== own)];
  const words = new Set(text.match(/\b[A-Za-z]\w*\b/g));
  const source = ts.createSourceFile('example.ts', text, ts.ScriptTarget.ES2022);
  const declared = new Set(
    source.statements
      .filter(ts.isVariableStatement)
      .flatMap(({ declarationList }) => declarationList.declarations.flatMap(({ name }) => namesIn(name))),
  );
  const imports = [...words].flatMap((name) => {
    const from = entries.find((entry) => exported.some((each) => each.entry === entry && each.name === name));
    return from === undefined || declared.has(name) ? [] : [`import { ${name} } from '${from}';`];
  });
  return [...imports, text, 'export {};'].join('\n');
}

function namesIn(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isBindingElement(element) ? namesIn(element.name) : []));
}

/** The compiler's errors for each example, compiled as a file in the root. */
function diagnosticsOf(codes: readonly string[]): string[][] {
  const files = new Map(codes.map((code, i) => [join(root, `example-${i}.ts`), code]));
  const checking = { ...options, noUnusedLocals: false, verbatimModuleSyntax: false };
  const host = ts.createCompilerHost(checking);
  const { readFile, fileExists } = host;
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.fileExists = (path) => files.has(path) || fileExists(path);
  const paths = Object.fromEntries(
    Object.entries(ENTRIES).map(([entry, file]) => [entry, [join(root, `src/${file}.ts`)]]),
  );
  const program = ts.createProgram([...files.keys()], { ...checking, paths }, host);
  return [...files.keys()].map((path) => {
    const source = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  });
}

/** JavaScript that imports the built package. */
function built(code: string): string {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const { outputText } = ts.transpileModule(code, { compilerOptions });
  return outputText.replace(/from '(deep-incubation(?:\/\w+)?)'/g, (_, entry: Entry) => {
    return `from '${new URL(`../dist/${ENTRIES[entry]}.js`, import.meta.url)}'`;
  });
}

/** Runs modules in one process, in a folder with the files that the examples read. Prints the error of each, or null. */
const RUNNER = `
const failures = [];
console.log = console.error = () => {};
for (const file of process.argv.slice(1)) {
  try {
    await import(file);
    failures.push(null);
  } catch (error) {
    failures.push(String(error?.stack ?? error));
  }
}
process.stdout.write(JSON.stringify(failures));
`;

async function ran(codes: readonly string[]): Promise<(string | null)[]> {
  const folder = temporaryFolder();
  await writeImages(join(folder, 'images'), { train: 8, val: 4 });
  writeFashion(join(folder, 'fashion-mnist'));
  writeFileSync(join(folder, 'recipe.yaml'), JSON.stringify(tinyRecipe('images')));
  writeWeights(join(folder, 'model.safetensors'));
  writeCoco(join(folder, 'coco'));
  const files = codes.map((code, i) => {
    const file = join(folder, `example-${i}.mjs`);
    writeFileSync(file, built(code));
    return file;
  });
  const args = ['--input-type=module', '--eval', RUNNER, '--', ...files];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder });
  return JSON.parse(stdout);
}

/** Two images of 28 x 28 per part. */
function writeFashion(folder: string): void {
  mkdirSync(folder);
  for (const part of ['train', 't10k']) {
    const header = (...numbers: number[]) => Buffer.from(Int32Array.from(numbers).buffer).swap32();
    const pixels = Buffer.alloc(2 * 28 * 28, 100);
    writeFileSync(
      join(folder, `${part}-images-idx3-ubyte`),
      Buffer.concat([header(0x803, 2, 28, 28), pixels]),
    );
    writeFileSync(
      join(folder, `${part}-labels-idx1-ubyte`),
      Buffer.concat([header(0x801, 2), Buffer.of(1, 9)]),
    );
  }
}

/** One image with one object, and its detection. */
function writeCoco(folder: string): void {
  mkdirSync(folder);
  const place = { image_id: 1, category_id: 1, bbox: [1, 1, 4, 3] };
  const annotation = { ...place, id: 1, area: 12, segmentation: [[1, 1, 5, 1, 5, 4, 1, 4]] };
  const truths = {
    images: [{ id: 1, width: 8, height: 8, file_name: '1.jpg' }],
    categories: [{ id: 1, name: 'cat' }],
    annotations: [annotation],
  };
  writeFileSync(join(folder, 'instances_val.json'), JSON.stringify(truths));
  writeFileSync(join(folder, 'results.json'), JSON.stringify([{ ...place, score: 0.9 }]));
}

function writeWeights(file: string): void {
  const tiny = vit({
    imageSize: 16,
    patchSize: 8,
    channels: 3,
    classes: 2,
    width: 16,
    depth: 4,
    heads: 2,
    mlpRatio: 4,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
  });
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed(['weights']) } as const;
  const model = assemble(tiny, [2, 2], null, context);
  writeModelFile(file, model.stages.map(weightsOf), { to: 'deep-incubation' });
}

test.each(exported)('$entry: $name has an example', ({ examples }) => {
  expect(examples.length).toBeGreaterThan(0);
});

describe('the examples', () => {
  const results = { types: [] as string[][], runs: [] as (string | null)[] };
  // Two examples that fail, to check that failures are detected.
  const wrong = [asModule('deep-incubation', 'divide("12")'), 'throw new Error("thrown");'];

  beforeAll(async () => {
    const codes = [...examples.map(({ code }) => code), ...wrong];
    results.types = diagnosticsOf(codes);
    results.runs = await ran(codes);
  });

  test.each(examples.map(({ title }, i) => [title, i] as const))('%s type-checks and runs', (_, i) => {
    expect(results.types[i]).toEqual([]);
    expect(results.runs[i]).toBe(null);
  });

  test('a wrong one is reported', () => {
    expect(results.types.at(-2)).not.toEqual([]);
    expect(results.runs.slice(-2)).toEqual([
      expect.stringContaining('modules'),
      expect.stringContaining('thrown'),
    ]);
  });
});
