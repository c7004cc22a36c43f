/** The layers of src/, lowest first. A file imports from its own layer and from those before it. */
const LAYERS = [
  'base',
  'torch',
  'nn',
  'checkpoint',
  'data',
  'models',
  'cluster',
  'training',
  'tasks',
  'incubation',
  'onnx',
  'report',
  'dashboard',
  'cli',
];

const TESTS = '\\.test\\.ts$';

const upward = LAYERS.slice(0, -1).map((layer, i) => ({
  name: `${layer}-imports-downwards`,
  comment: `src/${layer}/ may not import from the layers above it: ${LAYERS.slice(i + 1).join(', ')}.`,
  severity: 'error',
  from: { path: `^src/${layer}/`, pathNot: TESTS },
  to: { path: `^src/(${LAYERS.slice(i + 1).join('|')}|index\\.ts$)(/|$)` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'known-layer',
      comment:
        'Every file of src/ but index.ts lies in one of the layers that .dependency-cruiser.cjs lists.',
      severity: 'error',
      from: { path: '^src/', pathNot: [`^src/(${LAYERS.join('|')})/`, '^src/index(\\.test)?\\.ts$'] },
      to: {},
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
