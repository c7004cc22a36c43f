import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InputError } from '../../base/errors.js';
import { readSmallText } from '../../files/small-file.js';
import { endpointOf, type HubRequest, hubError, tokenOf } from './hub-client.js';

/** A local file, and its path in the repository, with slashes. */
interface UploadFile {
  readonly path: string;
  readonly source: string;
}

export interface HubUpload {
  /** A model repository: owner/name. It is created if it does not exist. */
  readonly repository: string;
  readonly files: readonly UploadFile[];
  /** First line of the commit message. */
  readonly title: string;
  /** Visibility of a repository that is created; default: the owner's default. */
  readonly isPrivate?: boolean;
  /**
   * HF_TOKEN, else the token that `hf auth login` stored (HF_TOKEN_PATH, or `token` in HF_HOME); HF_ENDPOINT: another hub.
   */
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/** @throws InputError if `repository` is not owner/name */
export function requireRepository(repository: string): void {
  const isValid = NAME.test(repository) && repository.split('/').every((part) => part.length <= 96);
  if (isValid && !/\.\.|--|\.git$|[-.]$/.test(repository)) return;
  throw new InputError(`${repository} is not a valid name of a repository`, {
    hint: 'expected owner/name, with letters, digits, ".", "_" and "-"',
  });
}

/**
 * Adds files to a model repository of the Hugging Face hub, in one commit: it appears completely or not at all. Files of the
 * same name are replaced; others stay. Content that the hub already has is not sent again.
 * @returns URL of the repository
 * @throws InputError if the name or the token is invalid, or the hub denies access
 * @throws RunError if the hub cannot be reached, or fails
 * @throws the signal's reason, once aborted
 */
export async function uploadToHub(upload: HubUpload): Promise<string> {
  const { repository, files, title, isPrivate, env = process.env, signal } = upload;
  requireRepository(repository);
  const accessToken = requireToken(repository, env);
  // Loaded only for an upload.
  const { createRepo, HUB_URL, repoExists, uploadFiles } = await import('@huggingface/hub');
  const hubUrl = endpointOf(env) ?? HUB_URL;
  const cancellable: typeof fetch = (input, init) => fetch(input, { ...init, ...(signal && { signal }) });
  const api = { repo: { type: 'model' as const, name: repository }, hubUrl, accessToken, fetch: cancellable };
  try {
    // A token for one repository may write to it, but not create one.
    if (!(await repoExists(api))) {
      await createRepo({ ...api, ...(isPrivate && { visibility: 'private' as const }) });
    }
    await uploadFiles({
      ...api,
      files: files.map(({ path, source }) => ({ path, content: pathToFileURL(source) })),
      commitTitle: title,
      // Plain uploads: every hub and mirror has them.
      useXet: false,
      ...(signal && { abortSignal: signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw hubError(error, requestOf(repository, hubUrl));
  }
  return `${hubUrl}/${repository}`;
}

function requestOf(repository: string, hubUrl: string): HubRequest {
  return {
    name: repository,
    hubUrl,
    denied: `check that the token is valid and may write to ${repository}`,
    missing: 'check the owner: it must be you or an organisation that you belong to',
    network: 'check the network and HF_ENDPOINT, then push again: files that arrived are not sent again',
  };
}

function requireToken(repository: string, env: NodeJS.ProcessEnv): string {
  const token = tokenOf(env) ?? storedToken(env);
  if (token !== undefined) return token;
  throw new InputError(`a push to ${repository} needs an access token`, {
    hint: 'set HF_TOKEN to a token of the hub that may write, or run `hf auth login`; --dry-run needs none',
  });
}

function storedToken(env: NodeJS.ProcessEnv): string | undefined {
  const cache = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  const path = env.HF_TOKEN_PATH || join(env.HF_HOME || join(cache, 'huggingface'), 'token');
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const token = readSmallText(path).trim();
  if (token.startsWith('hf_')) return token;
  throw new InputError(`${path} does not contain an access token of the hub: tokens start with hf_`, {
    hint: 'run `hf auth login`, or set HF_TOKEN',
  });
}
