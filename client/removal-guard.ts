import { VolleyError } from '../src/errors.js';
import { quote } from '../src/keys.js';
import type { FoundManifest } from './catalog.js';

/** Images that a message names before it says how many more there are. */
const NAMED_MAX = 3;
const AFTERWARDS = 'then volley rm --orphans';

/**
 * Gathers, while all manifests are listed, what forbids to take a chunk for nobody's: a manifest that cannot be read; an
 * image that was stored with another node list, so that its chunks, or others of that list, lie elsewhere; an image that
 * lost chunks, which is how it looks when the node list lacks a node.
 */
export class RemovalGuard {
  readonly #gone: readonly string[];
  #damaged = 0;
  readonly #elsewhere: string[] = [];
  #difference = '';
  readonly #incomplete: string[] = [];

  /** @param gone names of nodes that are gone for good: images may lack them */
  constructor(gone: readonly string[]) {
    this.#gone = gone;
  }

  note({ key, root, manifest, placement, missingChunks }: FoundManifest): void {
    const image = root ? quote(root.name) : key;
    if (!placement.isOwn(this.#gone)) {
      this.#elsewhere.push(image);
      this.#difference ||= placement.difference!;
    } else if (!manifest) {
      this.#damaged++;
    } else if (missingChunks! > 0 && placement.lacking.length === 0) {
      this.#incomplete.push(image);
    }
  }

  /** Why no chunk may be removed, or null. @param other `other ` where the images are not all that there are */
  objection(other: '' | 'other ' = 'other '): VolleyError | null {
    if (this.#elsewhere.length > 0) {
      const text = `${someOf(this.#elsewhere)}: stored with the node list ${this.#difference}`;
      const help = `all clients must name the nodes alike; remove those with their own node list or upload them again, ${AFTERWARDS}`;
      return new VolleyError('ERR_VOLLEY_NODE_LIST', `${text}; ${help}`);
    }
    if (this.#damaged > 0) {
      const text = `${this.#damaged} ${other}images are damaged, and what they use is not known`;
      const help = `see volley images, upload or remove those, ${AFTERWARDS}`;
      return new VolleyError('ERR_VOLLEY_MANIFEST', `${text}; ${help}`);
    }
    if (this.#incomplete.length > 0) {
      const text = `chunks are missing of ${someOf(this.#incomplete)}, as if the node list lacked a node`;
      const help = `check the node list, upload or remove those, ${AFTERWARDS}`;
      return new VolleyError('ERR_VOLLEY_NODE_LIST', `${text}; ${help}`);
    }
    return null;
  }
}

function someOf(images: readonly string[]): string {
  const more = images.length - NAMED_MAX;
  const named = images.slice(0, NAMED_MAX).join(', ');
  return more > 0
    ? `${named} and ${more} more images`
    : `${images.length === 1 ? 'image' : 'images'} ${named}`;
}
