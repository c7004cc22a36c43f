import { InputError } from '../../base/errors.js';

/** A file in a model repository of the Hugging Face hub. */
export interface HubName {
  /** The name as the user wrote it, for messages. */
  readonly name: string;
  readonly owner: string;
  readonly repo: string;
  /** Path inside the repository, with slashes; null: the repository's weights, whichever file contains them. */
  readonly path: string | null;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** `hf:` of this program, and timm's `hf-hub:`. */
const PREFIX = /^hf(-hub)?:/;
const WORD = /^[\w.-]+$/;

export function isHubName(name: string): boolean {
  return PREFIX.test(name);
}

/**
 * Parses `hf:owner/repo[/path/in/repo][@revision]`; the default revision is `main`.
 * @throws InputError if the name does not have this form
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
  throw new InputError(`${name} is not a valid name of a file on the hub`, {
    hint: 'expected hf:owner/repo or hf:owner/repo/path/in/repo, optionally followed by @revision (default: main)',
  });
}

/** URL of a file or repository in a browser. */
const ADDRESS = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/(?:api\/models\/)?(.+)$/;
const IN_BROWSER = /^([^/]+\/[^/]+)\/(?:blob|resolve|tree)\/([^/]+)(?:\/(.+))?$/;
/** Names of timm's vision transformers, which are in timm's organisation on the hub. */
const TIMM = /^(?:vit|deit3?)_\w+_patch\d+_[\w.]+$/;

/**
 * The hub name that a user may have meant by a path that does not exist, such as `google/vit-base-patch16-224`, a URL of
 * huggingface.co, or a timm model name; undefined if the path does not look like one.
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

/** Whether a path component is not empty and does not point outside its folder. */
function isPlain(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..' && !/[\\\0]/.test(part);
}
