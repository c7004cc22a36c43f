import { AXES, type Axis, type ChartLayout, LAYOUTS, type RunState } from '../../src/dashboard/protocol';
import { AXIS_WORDS, colourOf } from '../look';

interface BarProps {
  readonly run: RunState;
  readonly axis: Axis;
  readonly layout: ChartLayout;
  readonly logarithmic: boolean;
  readonly hidden: ReadonlySet<string>;
  readonly comparing: boolean;
  readonly zoomed: boolean;
  readonly onAxis: (axis: Axis) => void;
  readonly onLayout: (layout: ChartLayout) => void;
  readonly onLogarithmic: (on: boolean) => void;
  readonly onHidden: (hidden: ReadonlySet<string>) => void;
  readonly onReset: () => void;
}

const LAYOUT_WORDS: Readonly<Record<ChartLayout, string>> = { overlaid: 'Overlaid', sequence: 'In sequence' };

/** Controls for the axis, the layout and the visible phases of the charts. */
export function ChartBar(props: BarProps) {
  const { run, axis, layout, logarithmic, hidden, comparing, zoomed } = props;
  const toggle = (phase: string) => {
    const next = new Set(hidden);
    if (!next.delete(phase)) next.add(phase);
    props.onHidden(next);
  };
  return (
    <div class="chart-bar">
      <h2 id="curves">Curves</h2>
      <div class="controls">
        <Choice
          name="Horizontal axis"
          options={AXES}
          chosen={axis}
          word={(a) => AXIS_WORDS[a].button}
          onChoose={props.onAxis}
        />
        <Choice
          name="Phase layout"
          options={LAYOUTS}
          chosen={layout}
          word={(l) => LAYOUT_WORDS[l]}
          onChoose={props.onLayout}
        />
        <button type="button" aria-pressed={logarithmic} onClick={() => props.onLogarithmic(!logarithmic)}>
          Log loss
        </button>
        <button type="button" disabled={!zoomed} onClick={props.onReset}>
          Reset zoom
        </button>
      </div>
      <fieldset class="chips" aria-label="Phases shown">
        {run.phases.map(({ phase }) => (
          <button
            type="button"
            key={phase}
            class={`chip ${colourOf(phase)} ${comparing ? 'plain' : ''}`}
            aria-pressed={!hidden.has(phase)}
            onClick={() => toggle(phase)}
          >
            <i class="swatch" />
            {phase}
          </button>
        ))}
      </fieldset>
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly options: readonly T[];
  readonly chosen: T;
  readonly word: (option: T) => string;
  readonly onChoose: (option: T) => void;
}

function Choice<T extends string>({ name, options, chosen, word, onChoose }: ChoiceProps<T>) {
  return (
    <fieldset class="choice" aria-label={name}>
      {options.map((option) => (
        <button type="button" key={option} aria-pressed={option === chosen} onClick={() => onChoose(option)}>
          {word(option)}
        </button>
      ))}
    </fieldset>
  );
}
