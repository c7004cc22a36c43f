interface TableProps {
  /** DOM id of the heading. */
  readonly id: string;
  readonly title: string;
  readonly heads: readonly string[];
  /** Whether the table belongs to a section that has its own heading. */
  readonly isPart?: boolean;
  readonly children: preact.ComponentChildren;
}

/** A table with a heading; it scrolls if it is too wide. */
export function Table({ id, title, heads, isPart = true, children }: TableProps) {
  const Heading = isPart ? 'h3' : 'h2';
  return (
    <div class={id}>
      <Heading id={id}>{title}</Heading>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrollable. */}
      <section class="scroll" tabIndex={0} aria-labelledby={id}>
        <table>
          <thead>
            <tr>
              {heads.map((head) => (
                <th scope="col" key={head}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </section>
    </div>
  );
}
