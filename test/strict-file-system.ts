import { basename, dirname } from 'node:path';

/** A call as `fixtures/record-files.mjs` writes it. */
export type Call = readonly [op: string, path: string, onto?: string];

interface Folder {
  readonly kind: 'folder';
  readonly entries: Map<string, Node>;
  /** The entries on the disk: those when the folder was last synced. */
  synced: ReadonlyMap<string, Node>;
}

interface File {
  readonly kind: 'file';
  isSynced: boolean;
}

type Node = Folder | File;

const emptyFolder = (): Folder => ({ kind: 'folder', entries: new Map(), synced: new Map() });

/**
 * A file system that keeps only what POSIX guarantees: after a power loss, a folder has the entries of its last sync, and a
 * file that was changed since its last sync is lost.
 */
export class StrictFileSystem {
  readonly #root = emptyFolder();
  readonly #top: string;

  /** @param top a folder that exists and is on the disk */
  constructor(top: string) {
    this.#top = top;
  }

  apply([op, path, onto]: Call): void {
    if (!path.startsWith(`${this.#top}/`) && path !== this.#top) return;
    switch (op) {
      case 'mkdir':
        this.#put(path, emptyFolder());
        break;
      case 'create':
        this.#put(path, { kind: 'file', isSynced: false });
        break;
      case 'write': {
        const node = this.#find(path);
        if (node?.kind === 'file') node.isSynced = false;
        break;
      }
      case 'sync': {
        const node = this.#find(path);
        if (node?.kind === 'file') node.isSynced = true;
        else if (node !== undefined) node.synced = new Map(node.entries);
        break;
      }
      case 'rename':
      case 'link': {
        const node = this.#find(path);
        if (node === undefined) break;
        this.#put(onto as string, node);
        if (op === 'rename') this.#parent(path)?.entries.delete(basename(path));
        break;
      }
      case 'remove':
        this.#parent(path)?.entries.delete(basename(path));
        break;
      default:
        throw new Error(`unknown call ${op}`);
    }
  }

  /** Whether a path would survive a power loss now; a file with its content. */
  survives(path: string): boolean {
    const node = this.#find(path, ({ synced }) => synced);
    return node?.kind === 'folder' || node?.isSynced === true;
  }

  /** The files and folders that would survive a power loss now. */
  survivors(path: string): string[] {
    const node = this.#find(path, ({ synced }) => synced);
    return node?.kind === 'folder' ? [...node.synced.keys()] : [];
  }

  #find(path: string, entriesOf: (folder: Folder) => ReadonlyMap<string, Node> = ({ entries }) => entries) {
    if (path === this.#top) return this.#root;
    let node: Node | undefined = this.#root;
    for (const name of path.slice(this.#top.length + 1).split('/')) {
      node = node?.kind === 'folder' ? entriesOf(node).get(name) : undefined;
    }
    return node;
  }

  #parent(path: string): Folder | undefined {
    const node = this.#find(dirname(path));
    return node?.kind === 'folder' ? node : undefined;
  }

  #put(path: string, node: Node): void {
    this.#parent(path)?.entries.set(basename(path), node);
  }
}
