import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const DIGEST_BYTES = 32;

/**
 * Who may use a node. Keeps keyed digests and no passwords; a comparison takes the same time whether nothing, the user or
 * all of it is right, and whichever user it is.
 */
export class Credentials {
  private readonly key = randomBytes(DIGEST_BYTES);
  private readonly digests: Buffer[];

  constructor(entries: readonly { user: Uint8Array; password: Uint8Array }[]) {
    this.digests = entries.map(({ user, password }) => this.digest(user, password));
  }

  /** Whether there is such a user and this is a password of his. */
  admit(user: Uint8Array, password: Uint8Array): boolean {
    const digest = this.digest(user, password);
    let equal = 0;
    for (const known of this.digests) equal += Number(timingSafeEqual(known, digest));
    return equal > 0;
  }

  /** The user's length goes first, so that what is user and what password is never in doubt. */
  private digest(user: Uint8Array, password: Uint8Array): Buffer {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(user.length);
    return createHmac('sha256', this.key).update(length).update(user).update(password).digest();
  }
}
