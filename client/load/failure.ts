import { VolleyError, type VolleyErrorCode } from '../../src/errors.js';
import type { FailureReason } from '../../src/native.js';
import { isTooManyClients, RAISE_LIMIT } from '../node-errors.js';

const WORDS: Record<FailureReason, { code: VolleyErrorCode; words: string; help: string }> = {
  none: { code: 'ERR_VOLLEY_CHUNK', words: 'was not read', help: 'load it again' },
  missing: { code: 'ERR_VOLLEY_CHUNK', words: 'is not there', help: 'upload the image again' },
  checksum: {
    code: 'ERR_VOLLEY_CHUNK',
    words: 'is not what the manifest says (its checksum differs)',
    help: 'upload the image again with --resend',
  },
  length: {
    code: 'ERR_VOLLEY_CHUNK',
    words: 'is not what the manifest says (its length differs)',
    help: 'upload the image again with --resend',
  },
  bounds: {
    code: 'ERR_VOLLEY_CHUNK',
    words: "is said to lie outside the node's region",
    help: 'restart the node and upload the image again',
  },
  timeout: {
    code: 'ERR_VOLLEY_TIMEOUT',
    words: 'did not come in time',
    help: 'is the node stopped or overloaded?',
  },
  connection: { code: 'ERR_VOLLEY_NODE_DOWN', words: 'could not be read', help: 'is the node running?' },
  protocol: {
    code: 'ERR_VOLLEY_PROTOCOL',
    words: 'was asked for, and the node did not answer as a memcached would',
    help: 'what runs at that port?',
  },
  canceled: { code: 'ERR_VOLLEY_ABORTED', words: 'was not read any more', help: 'the load was interrupted' },
};

const REFUSED: (typeof WORDS)[FailureReason] = {
  code: 'ERR_VOLLEY_NODE_BUSY',
  words: 'could not be read, for the node takes no more connections',
  help: RAISE_LIMIT,
};

/** A chunk that could not be read in any way. */
export interface LostChunk {
  chunk: number;
  reason: FailureReason;
  node: string;
  /** What the system said when the path to the node broke, or ''. */
  detail: string;
}

/** Why a chunk could not be read one way, in words. */
export function describeLoss({ chunk, reason, detail }: Omit<LostChunk, 'node'>): string {
  return detail || `chunk ${chunk} ${WORDS[reason].words}`;
}

/**
 * The error for a load that could not bring all chunks; tells of the first of them.
 * @param image what to call the image, quoted
 * @param lossHelp what to do when a chunk is not there
 */
export function loadError(
  image: string,
  chunkCount: number,
  lost: readonly LostChunk[],
  lossHelp: string,
): VolleyError {
  const bad = withoutVictims(lost);
  const { chunk, reason, node, detail } = bad[0]!;
  const { code, words, help } = isTooManyClients(detail) ? REFUSED : WORDS[reason];
  const more = bad.length > 1 ? `, nor ${bad.length - 1} more chunks` : '';
  const why = detail ? ` (${detail})` : '';
  const text = `image ${image}: chunk ${chunk} of ${chunkCount} on node ${node} ${words}${why}${more}; ${reason === 'missing' ? lossHelp : help}`;
  return new VolleyError(code, text);
}

/** Without the chunks that were not read because one of a wrong length had ended the connection to their node. */
function withoutVictims(lost: readonly LostChunk[]): readonly LostChunk[] {
  const cut = new Set(lost.filter(({ reason }) => reason === 'length').map(({ node }) => node));
  return lost.filter(({ reason, node }) => reason !== 'connection' || !cut.has(node));
}
