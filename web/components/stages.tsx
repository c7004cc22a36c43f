import type { PhaseState } from '../../src/dashboard/protocol';
import { colourOf } from '../look';

/** Blocks that are drawn one by one; of more, their number stands on one. */
const MOST = 6;

/** A phase's model, stage by stage: which is trained, which is the frozen meta model's. */
export function Stages({ phase: { phase, depths } }: { phase: PhaseState }) {
  if (depths.length === 0) return <span class="stages" />;
  const trained = phase.startsWith('MT/') ? Number(phase.slice(3)) : undefined;
  const most = Math.max(...depths);
  return (
    <span class="stages" aria-hidden="true">
      {depths.map((depth, index) => {
        const kind =
          trained === undefined || trained === index ? 'trained' : index < trained ? 'before' : 'after';
        const colour = phase === 'FT' ? colourOf(`MT/${index}`) : '';
        return (
          <span class={`stage ${kind} ${colour} ${depth === most ? 'deep' : ''}`} key={index}>
            {depth > MOST ? (
              <i class="wide">{depth}</i>
            ) : (
              Array.from({ length: depth }, (_, block) => <i key={block} />)
            )}
          </span>
        );
      })}
    </span>
  );
}
