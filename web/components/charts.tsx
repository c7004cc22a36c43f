import { type Axis, type ChartMetric, EVAL_LOSS_METRIC, type RunState } from '../../src/dashboard/protocol';
import type { Metric } from '../../src/run/metric';
import type { Curve, Range } from '../curves';
import { Chart } from './chart';

interface ChartsProps {
  readonly curves: readonly Curve[];
  readonly version: number;
  readonly axis: Axis;
  readonly logarithmic: boolean;
  readonly range: Range | undefined;
  readonly hidden: ReadonlySet<string>;
  readonly runs: readonly RunState[];
  readonly comparing: boolean;
  readonly onRange: (range: Range | undefined) => void;
}

interface ChartSpec {
  readonly metric: ChartMetric;
  readonly score?: Metric;
  readonly title: string;
  readonly note: string;
  readonly isLarge?: boolean;
}

const TRAIN_LOSS: ChartSpec = {
  metric: 'loss',
  title: 'Train loss',
  note: 'as optimised, on the training images',
  isLarge: true,
};

const MORE: readonly ChartSpec[] = [
  { metric: 'images_per_second', title: 'Training speed', note: 'images per second, without evaluation' },
  { metric: 'data_wait', title: 'Data wait', note: 'share of the time, %' },
  { metric: 'memory_bytes', title: 'Memory', note: 'peak per process' },
  {
    metric: EVAL_LOSS_METRIC,
    title: 'Eval loss',
    note: 'on the evaluation images, plain labels',
  },
  { metric: 'lr', title: 'Learning rate', note: '' },
  { metric: 'grad_norm', title: 'Gradient norm', note: 'before clipping' },
];

/** The training loss and the primary metrics of the runs are large. */
function chartsOf(runs: readonly RunState[]): ChartSpec[] {
  const primary = new Map(runs.map((run) => [run.primary.name, run.primary]));
  const scores = [...primary.values()].map((score) => ({
    metric: score.name,
    score,
    title: score.title,
    note: ['on the evaluation images', score.unit].filter(Boolean).join(', '),
    isLarge: true,
  }));
  return [TRAIN_LOSS, ...scores, ...MORE];
}

export function Charts({ curves, hidden, logarithmic, ...shared }: ChartsProps) {
  const drawn = shared.runs.filter(({ id }) => curves.some(({ run }) => run === id));
  const charts = chartsOf(drawn.length > 0 ? drawn : shared.runs);
  return (
    <div class="charts">
      {charts.map(({ metric, isLarge = false, ...words }) => {
        const own = curves.filter(
          (curve) => curve.metric === metric && !hidden.has(curve.phase) && curve.y.some((y) => y !== null),
        );
        const isEmpty = own.length === 0;
        if (isEmpty && !isLarge) return undefined;
        return (
          <Chart
            key={metric}
            metric={metric}
            isLarge={isLarge}
            {...words}
            {...shared}
            curves={own}
            logarithmic={logarithmic && (metric === 'loss' || metric === EVAL_LOSS_METRIC)}
          />
        );
      })}
    </div>
  );
}
