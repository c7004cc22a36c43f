import type { Axis, ChartMetric, RunState } from '../../src/dashboard/protocol';
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

const CHARTS: readonly { metric: ChartMetric; title: string; note: string; isLarge?: boolean }[] = [
  { metric: 'loss', title: 'Train loss', note: 'as optimised, of the training images', isLarge: true },
  { metric: 'top1', title: 'Top-1 accuracy', note: 'of the evaluation images, %', isLarge: true },
  { metric: 'images_per_second', title: 'Training speed', note: 'images a second, evaluation left out' },
  { metric: 'data_wait', title: 'Data wait', note: 'share of the time, %' },
  { metric: 'memory_bytes', title: 'Memory', note: 'peak of a process' },
  { metric: 'eval_loss', title: 'Eval loss', note: 'cross-entropy of the evaluation images, plain labels' },
  { metric: 'lr', title: 'Learning rate', note: '' },
  { metric: 'grad_norm', title: 'Gradient norm', note: 'before clipping' },
];

export function Charts({ curves, hidden, logarithmic, ...shared }: ChartsProps) {
  return (
    <div class="charts">
      {CHARTS.map(({ metric, isLarge = false, ...words }) => {
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
            logarithmic={logarithmic && (metric === 'loss' || metric === 'eval_loss')}
          />
        );
      })}
    </div>
  );
}
