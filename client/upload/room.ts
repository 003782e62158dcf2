import { setTimeout as sleep } from 'node:timers/promises';
import { quote } from '../../src/keys.js';
import { formatBytes } from '../../src/units.js';
import type { ClusterNode } from '../cluster-node.js';
import { abortedError } from '../deadline.js';
import { NodeFullError } from '../node-errors.js';
import { roomOf, type StockRoom, shareWords } from '../stock-memory.js';
import type { UploadReport } from './report.js';
import { type UploadPlan, UploadRun } from './upload-run.js';

/** Smaller images are not worth asking for. */
const BYTES_WORTH_ASKING = 1024 * 1024;
/** What a node may get beyond its even share of an image. */
const UNEVEN = 1.25;
/** What memcached takes beyond -m, and what its figures leave out. */
const SLACK_BYTES = 1024 * 1024;
/** memcached moves memory from one size class to another some 35 seconds after it became free. */
const SETTLES_MS = 45_000;
const RETRY_MS = 3000;
/** A node with less room than this share of its memory is full, however it is divided. */
const ROOM_SHARE_MIN = 0.05;

/** Chunks that an rm has just removed go within some seconds. */
const EXPIRY_MS = 6000;
const EXPIRY_POLL_MS = 500;

/** What removes chunks that belong to no image. */
const CLEANUP = 'volley rm --orphans --min-age 0';

/**
 * Checks that stock memcacheds that refuse when they are full (-M) have room for an image. When all of it may not fit, its
 * chunks are read, and those that the nodes lack are counted.
 * @throws NodeFullError that tells the figures; nothing has been sent then
 */
export async function checkRoom(plan: UploadPlan): Promise<void> {
  const { source, nodes, chunkBytes, name, signal, onNotice } = plan;
  if (source.bytes === null || source.bytes < BYTES_WORTH_ASKING) return;
  const share = nodes.length === 1 ? 1 : Math.min(1, UNEVEN / nodes.length);
  const most = source.bytes * share;
  const rooms = await Promise.all(nodes.map((node) => roomOf(node, chunkBytes, signal)));
  const doubtful = nodes.filter((_, i) => rooms[i] && most > rooms[i].freeBytes);
  if (doubtful.length === 0 || !source.rewind()) return;
  const where = doubtful.map((node) => node.name).join(', ');
  onNotice?.(`${where} may not have room for all of it: counting what has to be sent`);
  const counted = await new UploadRun({
    ...plan,
    resend: false,
    countsOnly: true,
    onProgress: undefined,
  }).count();
  source.rewind();
  for (const node of doubtful) {
    const { sentChunks, sentBytes } = counted[nodes.indexOf(node)]!;
    const room = await roomAfterRemovals(plan, node, sentBytes - SLACK_BYTES);
    if (!room || room.freeBytes >= sentBytes - SLACK_BYTES) continue;
    const need = `image ${quote(name)} needs ${formatBytes(sentBytes)} more there (${sentChunks} chunks that it lacks)`;
    const has = `it has room for ${formatBytes(room.freeBytes)}: ${shareWords(room.limitBytes, chunkBytes)}`;
    const help = `give it more memory (-m), remove images (volley rm) or what failed uploads left (${CLEANUP})`;
    throw new NodeFullError(
      node.name,
      `node ${node.name} is too full: ${need}, and ${has}; ${help}, add a node, or try all the same with --no-room-check`,
    );
  }
}

/** A node's room, as soon as it is so much, or after the time that removed chunks take to go; null as roomOf() says. */
async function roomAfterRemovals(
  plan: UploadPlan,
  node: ClusterNode,
  bytes: number,
): Promise<StockRoom | null> {
  const endMs = performance.now() + EXPIRY_MS;
  for (let isTold = false; ; isTold = true) {
    const room = await roomOf(node, plan.chunkBytes, plan.signal);
    if (!room || room.freeBytes >= bytes || performance.now() > endMs) return room;
    if (!isTold)
      plan.onNotice?.(
        `${node.name} has too little room: waiting ${EXPIRY_MS / 1000} s for what was just removed`,
      );
    await pause(EXPIRY_POLL_MS, plan.signal);
  }
}

/** @throws VolleyError ERR_VOLLEY_ABORTED */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw abortedError(signal!);
  });
}

/**
 * Uploads. When a stock memcached refuses although there is room by its figures, the memory is with another size class:
 * it tries again until memcached has moved it.
 * @throws NodeFullError that tells what is left at the nodes, and other VolleyErrors
 */
export async function uploadUntilRoom(plan: UploadPlan): Promise<UploadReport> {
  const endMs = performance.now() + SETTLES_MS;
  let isTold = false;
  for (;;) {
    try {
      return await new UploadRun(plan).run();
    } catch (error) {
      if (!(error instanceof NodeFullError)) throw error;
      const node = plan.nodes.find(({ name }) => name === error.node)!;
      const room = await roomOf(node, plan.chunkBytes, plan.signal);
      const hasRoom =
        room !== null && room.freeBytes > Math.max(SLACK_BYTES, ROOM_SHARE_MIN * node.limitBytes);
      const memory = node.volley
        ? ''
        : ` (a stock memcached: ${shareWords(node.limitBytes, plan.chunkBytes)})`;
      const left = `chunks that were stored stay for the next attempt; ${CLEANUP} removes them`;
      const text = `${error.message}${memory}; ${left}`;
      if (!hasRoom) throw new NodeFullError(node.name, text);
      const why = `node ${node.name} has ${formatBytes(room.freeBytes)} free, but for another chunk size as yet`;
      if (performance.now() > endMs || !plan.source.rewind()) {
        throw new NodeFullError(node.name, `${why}; try again in a minute; ${left}`);
      }
      if (!isTold) plan.onNotice?.(`${why}: trying again for ${SETTLES_MS / 1000} s`);
      isTold = true;
      await pause(RETRY_MS, plan.signal);
    }
  }
}
