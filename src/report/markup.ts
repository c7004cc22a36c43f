/** Text that is already HTML. */
export interface Markup {
  readonly html: string;
}

type Content = string | number | Markup | undefined | false | readonly Content[];

/**
 * Builds HTML; whatever is put in is escaped unless it is markup itself.
 * @example markup`<p>${nameFromAFile}</p>`
 */
export function markup(strings: TemplateStringsArray, ...values: Content[]): Markup {
  return {
    html: strings.map((text, index) => text + (index < values.length ? render(values[index]) : '')).join(''),
  };
}

/** Takes text as HTML. Only for text this program made. */
export function trusted(html: string): Markup {
  return { html };
}

/** A box that scrolls sideways where its content is too wide, also by the keyboard. */
export function scrolling(name: string, content: Markup): Markup {
  return markup`<div class="scroll" role="region" aria-label="${name}" tabindex="0">${content}</div>`;
}

function render(value: Content): string {
  if (value === undefined || value === false) return '';
  if (typeof value === 'string' || typeof value === 'number') return escaped(String(value));
  return 'html' in value ? value.html : value.map(render).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
