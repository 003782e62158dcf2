import { createHash, randomBytes } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { findExecutable } from '../../hypervisor-shim/executable.js';
import { VolleyError } from '../../src/errors.js';
import { CpioWriter } from './cpio-writer.js';

/** Printed by the guest's init before anything else. */
export const USERSPACE_MARKER = 'volley-guest: userspace is up';
/** Printed when the payload has been read; a line with its digest stands before it. */
export const DONE_MARKER = 'volley-guest: done';
const DIGEST_LINE = 'volley-guest: payload sha256';

const INIT = `#!/bin/busybox sh
echo "${USERSPACE_MARKER}"
echo "${DIGEST_LINE} $(/bin/busybox sha256sum < /payload)"
echo "${DONE_MARKER}"
/bin/busybox poweroff -f
`;

const PIECE_BYTES = 4 << 20;

export interface GuestInitrd {
  bytes: number;
  payloadBytes: number;
  /** SHA-256 of the payload, in hex. */
  payloadSha256: string;
}

/**
 * Writes an initrd (uncompressed cpio) whose init prints USERSPACE_MARKER, the payload's digest and DONE_MARKER, and
 * switches the machine off. The payload is random bytes.
 * @throws VolleyError ERR_VOLLEY_SETUP when busybox is not installed
 */
export async function writeGuestInitrd(path: string, payloadBytes: number): Promise<GuestInitrd> {
  const busyboxPath = findExecutable('busybox');
  if (!busyboxPath) {
    throw new VolleyError(
      'ERR_VOLLEY_SETUP',
      'busybox is not installed; run: apt-get install busybox-static',
    );
  }
  const busybox = await readFile(busyboxPath);
  const init = Buffer.from(INIT, 'latin1');
  const digest = createHash('sha256');
  const file = await open(path, 'w', 0o600);
  try {
    const archive = new CpioWriter(file);
    await archive.addDirectory('bin');
    await archive.addFile('bin/busybox', 0o755, busybox.length, [busybox]);
    await archive.addFile('init', 0o755, init.length, [init]);
    await archive.addFile('payload', 0o444, payloadBytes, randomPieces(payloadBytes, digest));
    await archive.end();
    return { bytes: archive.bytes, payloadBytes, payloadSha256: digest.digest('hex') };
  } finally {
    await file.close();
  }
}

/** The digest that the guest has printed, or undefined. */
export function digestIn(lines: readonly string[]): string | undefined {
  const line = lines.find((candidate) => candidate.includes(DIGEST_LINE));
  return line && /sha256 ([0-9a-f]{64})/.exec(line)?.[1];
}

function* randomPieces(bytes: number, digest: { update(piece: Uint8Array): unknown }): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= PIECE_BYTES) {
    const piece = randomBytes(Math.min(PIECE_BYTES, left));
    digest.update(piece);
    yield piece;
  }
}
