import { useEffect, useState } from 'preact/hooks';
import type { RunState } from '../../src/dashboard/protocol';
import { leaves, recipeDifference } from '../../src/recipe/recipe-difference';

/** The settings of the resolved recipe, or its differences from another run's recipe. */
export function Recipe({ runs, run }: { runs: readonly RunState[]; run: RunState }) {
  const [other, setOther] = useState<number>();
  const [wanted, setWanted] = useState('');
  const here = useRecipe(run.id);
  const there = useRecipe(other === run.id ? undefined : other);
  const compares = there !== undefined;
  const rows = compares
    ? recipeDifference(here, there)
    : leaves(here ?? {}).map(([key, json]) => ({ key, here: json, there: null }));
  const shown = rows.filter(({ key }) => key.includes(wanted.trim()));
  const others = runs.filter(({ id }) => id !== run.id);
  return (
    <section aria-labelledby="recipe">
      <div class="with-choice">
        <h2 id="recipe">Recipe</h2>
        <span>
          <input
            type="search"
            placeholder="Search settings"
            aria-label="Search settings"
            value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)}
          />
          {others.length > 0 && (
            <select
              aria-label="Differences from another run"
              value={other ?? ''}
              onChange={(event) =>
                setOther(event.currentTarget.value === '' ? undefined : +event.currentTarget.value)
              }
            >
              <option value="">All settings</option>
              {others.map(({ id, name, folder }) => (
                <option key={id} value={id}>
                  Differences from {name} ({folder})
                </option>
              ))}
            </select>
          )}
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrollable. */}
      <section class="scroll recipe" tabIndex={0} aria-labelledby="recipe">
        <table>
          <thead class={compares ? '' : 'unseen'}>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">{run.name}</th>
              {compares && <th scope="col">{runs.find(({ id }) => id === other)?.name}</th>}
            </tr>
          </thead>
          <tbody>
            {shown.map(({ key, ...values }) => (
              <tr key={key}>
                <th scope="row">{key}</th>
                <td class={compares ? 'ours' : ''}>{values.here ?? '–'}</td>
                {compares && <td class="theirs">{values.there ?? '–'}</td>}
              </tr>
            ))}
          </tbody>
        </table>
        {shown.length === 0 && (
          <p class="empty">{compares ? 'The recipes are identical.' : 'No matching setting.'}</p>
        )}
      </section>
    </section>
  );
}

function useRecipe(run: number | undefined): unknown {
  const [recipe, setRecipe] = useState<{ run: number; value: unknown }>();
  useEffect(() => {
    if (run === undefined) return;
    const gone = new AbortController();
    fetch(`/api/runs/${run}/recipe`, { signal: gone.signal })
      .then((response) => (response.ok ? response.json() : undefined))
      .then(
        (value) => setRecipe({ run, value }),
        () => {},
      );
    return () => gone.abort();
  }, [run]);
  return recipe?.run === run ? recipe?.value : undefined;
}
