import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Rights } from './rights.js';

const DIGEST_BYTES = 32;

/** A line of the auth file. */
export interface Entry {
  user: Uint8Array;
  password: Uint8Array;
  rights: Rights;
}

/**
 * Who may use a node. Keeps keyed digests and no passwords; a comparison takes the same time whether nothing, the user or
 * all of it is right, and whichever user it is.
 */
export class Credentials {
  private readonly key = randomBytes(DIGEST_BYTES);
  private readonly known: { digest: Buffer; rights: Rights }[];

  constructor(entries: readonly Entry[]) {
    this.known = entries.map(({ user, password, rights }) => {
      return { digest: this.digest(user, password), rights };
    });
  }

  /** What the user may do, or null when there is no such user or this is no password of his. */
  admit(user: Uint8Array, password: Uint8Array): Rights | null {
    const digest = this.digest(user, password);
    let admitted: Rights | null = null;
    for (const known of this.known) {
      // All are compared, whatever is found.
      if (timingSafeEqual(known.digest, digest)) admitted ??= known.rights;
    }
    return admitted;
  }

  /** The user's length goes first, so that what is user and what password is never in doubt. */
  private digest(user: Uint8Array, password: Uint8Array): Buffer {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(user.length);
    return createHmac('sha256', this.key).update(length).update(user).update(password).digest();
  }
}
