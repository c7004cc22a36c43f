import { scoreOf } from '../run/metric.js';
import { metricsOf } from '../tasks/metrics.js';
import type { Outcome, RunSummary } from './summary.js';
import { WAY_NAMES } from './way.js';

type Method = 'end_to_end' | 'infopro' | 'dgl' | 'incubation';

/** Accuracy in percent, and hours of training on an A100. */
type Figure = readonly [accuracy: number, hours: number];

const { primary: ACCURACY } = metricsOf({ classes: 100 });

/** The results on CIFAR-100 that the paper published (arXiv 2212.04129), by model. `recipe`: its file in recipes/cifar-100. */
const PUBLISHED: readonly {
  readonly model: string;
  readonly recipe: string;
  readonly figures: Readonly<Record<Method, Figure>>;
}[] = [
  {
    model: 'ResNet-110',
    recipe: 'resnet-110',
    figures: { end_to_end: [71.1, 2.0], infopro: [71.2, 2.1], dgl: [69.2, 2.1], incubation: [73.0, 2.5] },
  },
  {
    model: 'DeiT-T-32',
    recipe: 'deit-tiny-32',
    figures: { end_to_end: [72.8, 1.8], infopro: [73.3, 2.0], dgl: [72.0, 2.0], incubation: [75.3, 2.2] },
  },
  {
    model: 'DeiT-T-128',
    recipe: 'deit-tiny-128',
    figures: { end_to_end: [69.4, 7.2], infopro: [73.2, 7.4], dgl: [70.9, 7.4], incubation: [77.2, 6.0] },
  },
];

const METHODS: readonly Method[] = ['end_to_end', 'infopro', 'dgl', 'incubation'];

interface NamedRun {
  /** The run's folder. */
  readonly root: string;
  /** `name` of its recipe. */
  readonly summary: RunSummary;
}

interface Cifar100Table {
  /** Model, method, published accuracy and hours, accuracy and hours of the runs; the first line is the head. */
  readonly lines: readonly (readonly string[])[];
  /** What each run contributed, one sentence per run. */
  readonly sources: readonly string[];
}

/**
 * The paper's table of CIFAR-100 with the results of runs. A run belongs to a row by the name of its recipe; the result of several
 * runs is their mean. Undefined if no run has such a recipe.
 */
export function cifar100Table(runs: readonly NamedRun[]): Cifar100Table | undefined {
  const own = runs.filter(({ summary: { name } }) => namesOfRecipes().includes(name));
  if (own.length === 0) return undefined;
  const rows = PUBLISHED.flatMap(({ model, recipe, figures }) =>
    METHODS.map((method) => {
      const [accuracy, hours] = figures[method];
      const outcomes = own.flatMap(({ summary }) => outcomeOf(summary, recipe, method) ?? []);
      return [model, WAY_NAMES[method], `${accuracy.toFixed(1)} %`, hours.toFixed(1), ...oursOf(outcomes)];
    }),
  );
  const head = [
    'model',
    'method',
    `published ${ACCURACY.label}`,
    'hours (A100)',
    `${ACCURACY.label} here`,
    'hours here',
  ];
  return { lines: [head, ...rows], sources: own.map(sourceOf) };
}

const RIVALS = ['infopro', 'dgl'] as const;

/** The recipe of a rival has its own file. */
function namesOfRecipes(): string[] {
  return PUBLISHED.flatMap(({ recipe }) => [recipe, ...RIVALS.map((rival) => `${recipe}-${rival}`)]);
}

function outcomeOf(summary: RunSummary, recipe: string, method: Method): Outcome | undefined {
  if (method === 'infopro' || method === 'dgl')
    return summary.name === `${recipe}-${method}` && summary.local === method
      ? summary.end_to_end
      : undefined;
  return summary.name === recipe && summary.local === undefined ? summary[method] : undefined;
}

function oursOf(outcomes: readonly Outcome[]): [accuracy: string, hours: string] {
  if (outcomes.length === 0) return ['-', '-'];
  const mean = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length;
  const runs = outcomes.length > 1 ? ` (mean of ${outcomes.length} runs)` : '';
  const hours = mean(({ seconds }) => seconds / 3600);
  return [
    `${mean((outcome) => scoreOf(outcome, ACCURACY)).toFixed(2)} %${runs}`,
    hours < 0.05 ? '< 0.1' : hours.toFixed(1),
  ];
}

/** Tells runs of the full recipe from shorter ones. */
function sourceOf({ root, summary: { name, phases, end_to_end, incubation } }: NamedRun): string {
  const steps = phases
    .filter(({ phase }) => phase === 'FT' || phase === 'E2E')
    .map(({ phase, steps }) => `${phase} ${Number(steps).toLocaleString('en-US')} steps`);
  const images = (incubation ?? end_to_end)?.evaluation_images;
  const evaluated = images === undefined ? [] : [`${images.toLocaleString('en-US')} evaluation images`];
  const facts = steps.length === 0 ? ['not finished'] : [...steps, ...evaluated];
  return `${name}: ${root} (${facts.join(', ')})`;
}
