import { native } from '../src/torch/native.js';

/** A call of the addon that runs an operator. */
export interface OperatorCall {
  readonly name: string;
  /** Shapes of its tensors, such as `F32[2, 3]`, in the order of the arguments. */
  readonly tensors: readonly string[];
  /** Its other arguments. */
  readonly values: string;
}

export interface RecordedCalls {
  readonly operators: readonly OperatorCall[];
  /** Number of calls of each function of the addon. */
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * From now on, records the calls of the addon in this process. Must be called before the first operator, whose names are
 * looked up only once.
 * @returns a function that returns the calls since it was called last
 */
export function recordCalls(): () => RecordedCalls {
  native.engine();
  const names = new Map<number, string>();
  let operators: OperatorCall[] = [];
  let counts: Record<string, number> = {};
  const plain = Object.fromEntries(NAMES.map((name) => [name, native[name]])) as unknown as typeof native;
  const describe = (index: number, args: readonly unknown[]): OperatorCall => {
    const kinds = plain.parameters(index).map(({ kind }) => kind);
    const isTensor = (_: unknown, i: number) => kinds[i] === 'tensor';
    const handles = args
      .filter(isTensor)
      .flat()
      .filter((handle) => typeof handle === 'number');
    const rest = args.filter((_, i) => kinds[i] === 'value');
    const tensors = handles.map((handle) => `${plain.dtype(handle)}[${plain.shape(handle).join(', ')}]`);
    return { name: names.get(index) ?? String(index), tensors, values: JSON.stringify(rest) };
  };
  for (const name of NAMES) {
    const original = plain[name] as (...args: unknown[]) => unknown;
    Object.assign(native, {
      [name]: (...args: unknown[]) => {
        counts[name] = (counts[name] ?? 0) + 1;
        if (name === 'call') operators.push(describe(args[0] as number, args[1] as unknown[]));
        const result = original(...args);
        if (name === 'resolve') names.set(result as number, args.filter(Boolean).join('.'));
        return result;
      },
    });
  }
  return () => {
    const recorded = { operators, counts };
    [operators, counts] = [[], {}];
    return recorded;
  };
}

/** The functions that a step calls. */
const NAMES = [
  'resolve',
  'parameters',
  'call',
  'release',
  'fromBytes',
  'upload',
  'readLater',
  'laterValues',
  'toBytes',
  'item',
  'shape',
  'dtype',
  'device',
  'backward',
  'requiresGrad',
  'setRequiresGrad',
  'grad',
  'clearGrads',
  'setGradMode',
  'beginAutocast',
  'endAutocast',
  'seedGenerator',
  'setTf32',
] as const satisfies readonly (keyof typeof native)[];
