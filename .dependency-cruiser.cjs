/** The folders of src/, lowest first. A file imports from its own folder and from those before it. */
const FOLDERS = [
  'base',
  'files',
  'torch',
  'nn',
  'weights',
  'weights/safetensors',
  'weights/torch-file',
  'weights/layout',
  'weights/hub',
  'run',
  'run/tensorboard',
  'data',
  'data/images',
  'data/coco',
  'data/transforms',
  'data/loader',
  'data/formats',
  'data/open',
  'data/check',
  'onnx',
  'models',
  'models/vit',
  'models/resnet',
  'models/families',
  'models/model-file',
  'training/optimizers',
  'training/distributed',
  'training',
  'tasks/input',
  'tasks/classification',
  'tasks/detection',
  'tasks',
  'method',
  'recipe',
  'plan',
  'phase/images',
  'phase/observe',
  'phase',
  'launch/start',
  'launch/slurm',
  'launch/processes',
  'launch',
  'launch/together',
  'launch/exchange',
  'report',
  'dashboard',
  'library',
  'cli/terminal',
  'cli/progress',
  'cli/checkpoint',
  'cli/doctor',
  'cli/commands',
  'cli/declare',
  'cli',
];

const TESTS = '\\.test\\.ts$';

/** The files of src/recipe/ that read a whole recipe. */
const RECIPES =
  '^src/recipe/(compile|phases|phase-settings|recipe|recipe-checks|recipe-file|recipe-model|recipe-schema|settings)\\.ts$';

const upward = FOLDERS.slice(0, -1).map((folder, i) => ({
  name: `${folder}-imports-downwards`,
  comment: `src/${folder}/ may not import from the folders above it: ${FOLDERS.slice(i + 1).join(', ')}.`,
  severity: 'error',
  from: { path: `^src/${folder}/[^/]+$`, pathNot: TESTS },
  to: { path: `^src/(index\\.ts|(${FOLDERS.slice(i + 1).join('|')})/[^/]+)$` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'known-folder',
      comment: 'Every file of src/ but index.ts is in one of the folders that .dependency-cruiser.cjs lists.',
      severity: 'error',
      from: { path: '^src/', pathNot: [`^src/(${FOLDERS.join('|')})/[^/]+$`, '^src/index(\\.test)?\\.ts$'] },
      to: {},
    },
    {
      name: 'phases-not-recipes',
      comment: 'Planning and training take a compiled phase (src/recipe/phase.ts), never the recipe.',
      severity: 'error',
      from: { path: '^src/(plan|phase)/', pathNot: TESTS },
      to: { path: RECIPES },
    },
    {
      name: 'no-circles',
      comment: 'Files that import each other in a circle cannot be read one after another.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-dev-dependency',
      comment: 'A user of the package does not get its dev dependencies.',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: 'node_modules/@types/',
      },
    },
    {
      name: 'no-test-import',
      comment: 'Tests are not part of the package.',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { path: [TESTS, '^test/', '^bench/', '^scripts/'] },
    },
    {
      name: 'resolvable',
      comment: 'The import leads nowhere: a package that package.json lacks, or a file that is not there.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
