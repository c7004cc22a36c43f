import type { PhaseState } from '../../src/dashboard/protocol';
import { colourOf } from '../look';

/** Maximum number of blocks drawn one by one; a longer stage is one box with the number. */
const MOST = 6;

/** The stages of a phase's model: trained stages, and frozen ones of the meta model. */
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
