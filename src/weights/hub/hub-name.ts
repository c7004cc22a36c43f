import { InputError } from '../../base/errors.js';

/** A file in a model repository of the Hugging Face hub. */
export interface HubName {
  /** As the user wrote it, for messages. */
  readonly name: string;
  readonly owner: string;
  readonly repo: string;
  /** Inside the repository, with slashes; null: its weights, whatever file they are in. */
  readonly path: string | null;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** Ours, and timm's own. */
const PREFIX = /^hf(-hub)?:/;
const WORD = /^[\w.-]+$/;

export function isHubName(name: string): boolean {
  return PREFIX.test(name);
}

/**
 * Reads `hf:owner/repo[/path/in/repo][@revision]`; without a revision it is `main`.
 * @throws InputError where it is not of this form
 */
export function parseHubName(name: string): HubName {
  const text = name.replace(PREFIX, '');
  const at = text.lastIndexOf('@');
  const [place, revision] = at < 0 ? [text, 'main'] : [text.slice(0, at), text.slice(at + 1)];
  const [owner, repo, ...parts] = place.split('/');
  const isWhole = [owner, repo].every((part) => WORD.test(part ?? ''));
  if (isHubName(name) && isWhole && [owner, repo, ...parts].every(isPlain) && revision !== '') {
    return { name, owner, repo, path: parts.length === 0 ? null : parts.join('/'), revision };
  }
  throw new InputError(`${name} does not name a file on the hub`, {
    hint: 'expected hf:owner/repo or hf:owner/repo/path/in/repo, and @revision behind it for another than main',
  });
}

/** Addresses of a file or a repository in a browser. */
const ADDRESS = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/(?:api\/models\/)?(.+)$/;
const IN_BROWSER = /^([^/]+\/[^/]+)\/(?:blob|resolve|tree)\/([^/]+)(?:\/(.+))?$/;
/** Names of timm's vision transformers, which are in its own organisation on the hub. */
const TIMM = /^(?:vit|deit3?)_\w+_patch\d+_[\w.]+$/;

/**
 * The name on the hub that someone may have meant by a path that does not exist, such as `google/vit-base-patch16-224`,
 * an address of huggingface.co, or a model's name in timm; undefined if it looks like none.
 */
export function hubNameMeant(path: string): string | undefined {
  if (TIMM.test(path)) return `hf:timm/${path}`;
  const address = ADDRESS.exec(path)?.[1]
    .replace(/[?#].*$/, '')
    .replace(/\/$/, '');
  const [, repository, revision, file] = IN_BROWSER.exec(address ?? '') ?? [];
  const plain = address ?? path;
  const meant =
    repository === undefined
      ? plain
      : [repository, ...(file === undefined ? [] : [file])].join('/') +
        (revision === 'main' ? '' : `@${revision}`);
  if (address === undefined && !/^[\w][\w.-]*(?:\/[\w][\w.-]*)+(?:@[\w./-]+)?$/.test(meant)) return undefined;
  try {
    return parseHubName(`hf:${meant}`).name;
  } catch {
    return undefined;
  }
}

/** Neither empty nor a way out of the folder. */
function isPlain(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..' && !/[\\\0]/.test(part);
}
