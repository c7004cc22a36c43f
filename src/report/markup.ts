/** Text that is valid HTML already. */
export interface Markup {
  readonly html: string;
}

type Content = string | number | Markup | undefined | false | readonly Content[];

/**
 * Builds HTML. Inserted values are escaped unless they are `Markup`.
 * @example markup`<p>${nameFromAFile}</p>`
 */
export function markup(strings: TemplateStringsArray, ...values: Content[]): Markup {
  return {
    html: strings.map((text, index) => text + (index < values.length ? render(values[index]) : '')).join(''),
  };
}

/** Marks text as HTML without escaping it. Use it only for text that this program generated. */
export function trusted(html: string): Markup {
  return { html };
}

/** A box that scrolls horizontally if its content is too wide, also with the keyboard. */
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
