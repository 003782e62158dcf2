import type { DigestSet } from '../src/digest-set.js';
import { isVolleyError, VolleyError } from '../src/errors.js';
import { CHUNK_KEY_PREFIX, partitionOfDigest, quote } from '../src/keys.js';
import { isZeroRecord, RECORD_BYTES } from '../src/manifest.js';
import { onAbort } from '../src/on-abort.js';
import type { Ring } from '../src/ring.js';
import type { Catalog } from './catalog.js';
import type { ClusterNode } from './cluster-node.js';
import { abortedError, allOf, throwIfAborted } from './deadline.js';
import type { NodeLists } from './node-lists.js';
import { RemovalGuard } from './removal-guard.js';
import { SentenceDeadline } from './sentence-deadline.js';
import { touchItems } from './touch-items.js';

/**
 * Seconds that chunks which nobody seems to use have left, at least. Stores at a full Volley node wait for such memory,
 * so sentence and quarantine together stay below the time that clients give a node (5 s).
 */
const SENTENCE_S = 3;
/** The sentence is so many times what the listing before it took; the listing after it may take half the sentence. */
const LISTINGS = 4;
const CHUNKS_PER_S = 50_000;
const ATTEMPTS = 2;
const LONGER = 10;

/** Where items are sentenced. */
export interface SentenceTarget {
  nodes: readonly ClusterNode[];
  ring: Ring;
  catalog: Catalog;
  nodeLists: NodeLists;
  /** Names of nodes that are gone for good: images may have been stored with a list that had them. */
  goneNodes: readonly string[];
  timeoutMs: number;
}

/** What became of sentenced chunks. */
export interface Verdict {
  /** Within how many seconds those that nobody uses are gone; 0 when none goes. */
  seconds: number;
  /** Per node the ordinals of the chunks that an image uses after all. */
  rescued: ReadonlySet<number>[];
  /** Per node the ordinals of the chunks that were not there when they were sentenced. */
  absent: ReadonlySet<number>[];
  /** Why all of them stay, or null. */
  keptReason: string | null;
}

/** Per node (in the order of the target's) and ordinal there, an image that uses the chunk. */
type Users = Map<number, string>[];

/**
 * Frees chunks that no manifest of a listing used, without taking any from an upload that found them meanwhile: they
 * expire in a few seconds, unless the manifests, listed again, tell that one is used. docs/protocol.md, "Removing",
 * tells why that is enough.
 * @param items the chunks, per node
 * @param listedMs what the listing took that found them unused
 * @throws VolleyError of a node that fails, ERR_VOLLEY_ABORTED (the chunks stay), ERR_VOLLEY_CHUNK when some were lost
 */
export async function freeChunks(
  target: SentenceTarget,
  items: readonly DigestSet[],
  listedMs: number,
  signal?: AbortSignal,
): Promise<Verdict> {
  const none = items.map(() => new Set<number>());
  const most = Math.max(...items.map(({ size }) => size));
  if (most === 0) return { seconds: 0, rescued: none, absent: none, keptReason: null };
  let seconds = Math.max(SENTENCE_S, Math.ceil((LISTINGS * listedMs) / 1000 + most / CHUNKS_PER_S));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++, seconds *= LONGER) {
    const verdict = await attemptSentence(target, items, seconds, signal);
    if (verdict) return verdict;
  }
  const keptReason =
    'the nodes took too long to list the images a second time; try volley rm --orphans later';
  return { seconds: 0, rescued: none, absent: none, keptReason };
}

/** Null when the second listing took too long; all chunks stay then. */
async function attemptSentence(
  target: SentenceTarget,
  items: readonly DigestSet[],
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<Verdict | null> {
  throwIfAborted(signal);
  const stop = new AbortController();
  const ignoreAbort = onAbort(signal, () => stop.abort(signal!.reason));
  const deadline = new SentenceDeadline(seconds * 500);
  const timer = setTimeout(() => stop.abort(), seconds * 500);
  let absent: Set<number>[];
  let found: { users: Users; objection: string | null };
  try {
    absent = (await touchAll(target, items, seconds, stop.signal)).map((ordinals) => new Set(ordinals));
    found = await usersOf(target, items, stop.signal);
    throwIfAborted(stop.signal);
    if (deadline.hasPassed) throw abortedError(stop.signal);
  } catch (error) {
    await touchAll(target, items, 0).catch(() => {});
    const isLate = stop.signal.aborted || deadline.hasPassed;
    if (isLate && !signal?.aborted && isAborted(error)) return null;
    throw error;
  } finally {
    clearTimeout(timer);
    ignoreAbort();
  }
  const { users, objection } = found;
  if (objection !== null) {
    await touchAll(target, items, 0);
    return { seconds: 0, rescued: items.map(() => new Set()), absent, keptReason: objection };
  }
  await rescue(target, items, users, absent);
  const allRescued = users.every((ofNode, node) => ofNode.size === items[node]!.size);
  const rescued = users.map((ofNode) => new Set(ofNode.keys()));
  return { seconds: allRescued ? 0 : seconds, rescued, absent, keptReason: null };
}

/** Gives all items so many seconds. Returns per node the ordinals of those that were not there. */
async function touchAll(
  { nodes, timeoutMs }: SentenceTarget,
  items: readonly DigestSet[],
  seconds: number,
  signal?: AbortSignal,
): Promise<number[][]> {
  const touches = nodes.map((node, index) => {
    const keyOf = (ordinal: number) => keyIn(items[index]!, ordinal);
    return touchItems(node, items[index]!.size, keyOf, seconds, timeoutMs, signal);
  });
  return allOf(touches);
}

/** Which of the items the manifests use now, where they belong, and what forbids to remove any. */
async function usersOf(target: SentenceTarget, items: readonly DigestSet[], signal: AbortSignal) {
  const users: Users = items.map(() => new Map());
  const guard = new RemovalGuard(target.goneNodes);
  const nodeLists = await target.catalog.visit((found) => {
    guard.note(found);
    const { manifest, root, key, placement } = found;
    for (const records of [manifest?.records, root?.pieces]) {
      for (let offset = 0; records && offset < records.length; offset += RECORD_BYTES) {
        if (isZeroRecord(records, offset)) continue;
        const node = placement.node(partitionOfDigest(records, offset));
        const ordinal = items[node]!.find(records, offset);
        if (ordinal >= 0) users[node]!.set(ordinal, root?.name ?? key);
      }
    }
  }, signal);
  const listed = await target.nodeLists.objection(nodeLists, target.goneNodes, signal);
  return { users, objection: guard.objection()?.message ?? listed };
}

/** @throws VolleyError ERR_VOLLEY_CHUNK when some that were there when they were sentenced are gone */
async function rescue(
  { nodes, timeoutMs }: SentenceTarget,
  items: readonly DigestSet[],
  users: Users,
  absent: readonly ReadonlySet<number>[],
): Promise<void> {
  const rescues = nodes.map(async (node, index) => {
    const ordinals = [...users[index]!.keys()];
    const keyOf = (i: number) => keyIn(items[index]!, ordinals[i]!);
    const gone = await touchItems(node, ordinals.length, keyOf, 0, timeoutMs);
    const lost = gone.map((i) => ordinals[i]!).filter((ordinal) => !absent[index]!.has(ordinal));
    return lost.map((ordinal) => users[index]!.get(ordinal)!);
  });
  const losers = (await allOf(rescues)).flat();
  if (losers.length === 0) return;
  const names = [...new Set(losers)].map(quote).join(', ');
  const text = `${losers.length} chunks were lost that an upload came to use meanwhile; upload again: ${names}`;
  throw new VolleyError('ERR_VOLLEY_CHUNK', text);
}

function keyIn(items: DigestSet, ordinal: number): string {
  return CHUNK_KEY_PREFIX + items.digest(ordinal).toString('hex');
}

function isAborted(error: unknown): boolean {
  return isVolleyError(error) && error.code === 'ERR_VOLLEY_ABORTED';
}
