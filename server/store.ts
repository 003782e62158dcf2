import type { Region } from '../src/native.js';
import { Arena } from './arena.js';
import type { Clock } from './clock.js';
import type { Evictor } from './evictor.js';
import { absoluteExptime, isDate, nodeExptime, secondsLeft } from './exptime.js';
import { Flushes } from './flushes.js';
import { ITEM, ITEM_HEADER_BYTES, ITEM_MAGIC, STATE, textBytesOf, valueOffsetOf, writeText } from './item.js';
import { Ledger } from './ledger.js';
import { NearExpiry } from './near-expiry.js';
import type { Slots } from './slots.js';
import { Tally } from './tally.js';

/** What reserve() answers instead of a slot. */
export const TOO_LARGE = -1;
export const NO_MEMORY = -2;

/** What an item is marked with when it is read. */
const USED = STATE.fetched | STATE.referenced;
/** Items that are evicted, at most, when the table has no room for a new one. */
const TABLE_EVICTIONS_MAX = 64;
const CR = 0x0d;
const LF = 0x0a;

export interface StoreOptions {
  region: Region;
  slots: Slots;
  /** Longest value that is taken, in bytes. */
  itemSizeMax: number;
  clock: Clock;
}

/**
 * The items of a node. An item is written into a slot of its own, linked under its key, and never changed afterwards but
 * for its exptime and time of access; what it replaces is freed. Without room a
 * store fails, unless there is an evictor. As
 * in memcached 1.6, a `set` that fails for its size or for lack of memory takes the key's old item away, so that nobody
 * reads the stale value; every other failure leaves the old item.
 */
export class Store {
  readonly arena: Arena;
  readonly flushes: Flushes;
  readonly tally: Tally;
  readonly nearExpiry = new NearExpiry();
  /** Items ever stored. */
  totalItems = 0;
  /** Dead items that were taken away, and those of them that somebody asked for: expired ones and flushed ones. */
  reclaimed = 0;
  getExpired = 0;
  getFlushed = 0;
  /** Dead items that were taken away and that nobody had ever read. */
  expiredUnfetched = 0;
  /** A slot whose item must not be evicted now, or -1. */
  pinned = -1;
  /** Called when an item has been moved; for those who go through the arena. */
  readonly moveListeners = new Set<(from: number, to: number) => void>();
  /** Makes room when there is none; null when stores fail instead. */
  evictor: Evictor | null = null;
  /** Items that were not what they had been stored as when they were wanted. */
  damagedItems = 0;
  /** Items that were given a time to expire at, or taken away without. */
  private takenItems = 0;
  private readonly ledger: Ledger;
  /** Whether there are items of an earlier node, whose values have to be checked before they are given out. */
  private readonly isRestored: boolean;
  private readonly oneRange = new Uint32Array(2);
  private readonly oneSlot = new Float64Array(1);

  constructor(private readonly options: StoreOptions) {
    this.arena = new Arena(options.region);
    this.ledger = new Ledger(options.region.ledger);
    this.flushes = new Flushes(this.ledger, options.clock);
    this.tally = new Tally(this.arena, options.slots);
    this.isRestored = options.region.restored !== null;
  }

  /** Cas unique given out last. */
  get lastCas(): number {
    return this.ledger.lastCas;
  }

  /** Grows whenever an item that was to stay is taken away or flushed, or is given a time to expire at. */
  get removals(): number {
    return this.takenItems + this.flushes.upToCas;
  }

  get itemCount(): number {
    return this.options.region.itemCount;
  }

  get itemSizeMax(): number {
    return this.options.itemSizeMax;
  }

  /**
   * Writes to out[i] the slot of key i, `bytes[ranges[2i], ranges[2i + 1])`, or -1. Items that are dead are taken away.
   */
  find(bytes: Uint8Array, ranges: Uint32Array, count: number, out: Float64Array): void {
    this.options.region.find(bytes, ranges, count, out);
    if (this.isRestored) this.dropDamaged(out, count);
    const now = this.options.clock.seconds();
    for (let i = 0; i < count; i++) {
      const slot = out[i]!;
      if (slot < 0) continue;
      if (this.isDead(slot, now)) {
        this.removeAsked(slot, now);
        out[i] = -1;
      } else {
        this.noteUse(slot, now);
      }
    }
  }

  /** Takes down that the item is read now, in seconds since 1970. */
  noteUse(slot: number, now: number): void {
    const { arena } = this;
    if (arena.u32(slot + ITEM.accessed) !== now) arena.setU32(slot + ITEM.accessed, now);
    if ((arena.u32(slot + ITEM.state) & USED) !== USED) this.mark(slot, USED, 0);
  }

  /** Sets and clears bits of the item's STATE. */
  mark(slot: number, set: number, clear: number): void {
    const state = this.arena.u32(slot + ITEM.state);
    this.arena.setU32(slot + ITEM.state, (state & ~clear) | set);
  }

  /** The slot of the key `bytes[start, end)`, or -1; does not count as use. */
  findOne(bytes: Uint8Array, start: number, end: number): number {
    this.oneRange[0] = start;
    this.oneRange[1] = end;
    this.options.region.find(bytes, this.oneRange, 1, this.oneSlot);
    if (this.isRestored) this.dropDamaged(this.oneSlot, 1);
    const slot = this.oneSlot[0]!;
    const now = this.options.clock.seconds();
    if (slot < 0 || !this.isDead(slot, now)) return slot;
    this.removeAsked(slot, now);
    return -1;
  }

  /** Takes away a dead item that somebody asked for. */
  private removeAsked(slot: number, now: number): void {
    if (this.hasExpired(slot, now)) this.getExpired++;
    else this.getFlushed++;
    this.reclaim(slot);
  }

  /** Takes away a dead item, unless that has happened already. */
  private reclaim(slot: number): void {
    if (!this.holdsItem(slot)) return;
    this.reclaimed++;
    if ((this.arena.u32(slot + ITEM.state) & STATE.fetched) === 0) this.expiredUnfetched++;
    this.remove(slot);
  }

  /** Zeroes what `stats reset` zeroes. */
  resetCounts(): void {
    this.totalItems = 0;
    this.reclaimed = 0;
    this.getExpired = 0;
    this.getFlushed = 0;
    this.expiredUnfetched = 0;
    this.evictor?.resetCounts();
  }

  private hasExpired(slot: number, now: number): boolean {
    const exptime = this.arena.exptime(slot);
    if (exptime === 0) return false;
    return exptime <= (this.arena.hasState(slot, STATE.wallExptime) ? this.options.clock.wallSeconds() : now);
  }

  /** Seconds that an item has left; Infinity when it does not expire. */
  secondsLeft(slot: number): number {
    return secondsLeft(this.arena, slot, this.options.clock);
  }

  /** When an item expires by the node's time, in seconds since 1970; 0 = never. */
  exptimeOf(slot: number): number {
    const left = this.secondsLeft(slot);
    return left === Number.POSITIVE_INFINITY ? 0 : Math.max(1, this.options.clock.seconds() + left);
  }

  private isDead(slot: number, now: number): boolean {
    if (this.hasExpired(slot, now)) return true;
    const { upToCas } = this.flushes;
    return upToCas > 0 && this.arena.cas(slot) <= upToCas;
  }

  /**
   * Removes the items of an earlier node that are not what they were stored as, and verifies each one's value once. Verifies
   * before it marks: reader threads serve what is marked. A key that is asked for twice has its slot here twice.
   */
  private dropDamaged(slots: Float64Array, count: number): void {
    const { arena } = this;
    const { start } = this.ledger;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (slot < 0 || arena.u32(slot + ITEM.seen) === start) continue;
      if (this.holdsItem(slot) && this.options.region.isIntact(slot)) {
        arena.setU32(slot + ITEM.seen, start);
        continue;
      }
      if (this.holdsItem(slot)) this.damagedItems++;
      this.remove(slot);
      slots[i] = -1;
    }
  }

  /**
   * Takes a slot for an item and writes all of it but the value, which write() brings. Answers TOO_LARGE or NO_MEMORY
   * when there is none.
   */
  reserve(
    key: Uint8Array,
    start: number,
    end: number,
    flags: number,
    exptime: number,
    valueBytes: number,
  ): number {
    if (valueBytes > this.options.itemSizeMax) return TOO_LARGE;
    const keyBytes = end - start;
    const textBytes = textBytesOf(keyBytes, flags, valueBytes);
    const valueOffset = valueOffsetOf(textBytes);
    const itemBytes = valueOffset + valueBytes + 2;
    if (itemBytes > this.arena.pageBytes) return TOO_LARGE;
    const slot = this.takeSlot(itemBytes);
    if (slot < 0) return NO_MEMORY;
    const now = this.options.clock.seconds();
    const { arena } = this;
    for (let at = 0; at < ITEM_HEADER_BYTES; at += 4) arena.setU32(slot + at, 0);
    arena.setU32(slot + ITEM.valueBytes, valueBytes);
    arena.setU32(slot + ITEM.flags, flags);
    arena.setU32(slot + ITEM.exptime, absoluteExptime(exptime, now));
    if (isDate(exptime)) arena.setU32(slot + ITEM.state, STATE.wallExptime);
    arena.setU32(slot + ITEM.keyAndTextBytes, keyBytes | (textBytes << 16));
    arena.setU32(slot + ITEM.valueOffset, valueOffset);
    arena.setU32(slot + ITEM.accessed, now);
    arena.setU32(slot + ITEM.seen, this.ledger.start);
    const item = arena.range(slot, slot + itemBytes);
    writeText(item, valueOffset, key, start, end, flags, valueBytes);
    item[itemBytes - 2] = CR;
    item[itemBytes - 1] = LF;
    return slot;
  }

  private takeSlot(bytes: number): number {
    const slot = this.options.slots.take(bytes);
    return slot < 0 && this.evictor ? this.evictor.makeRoom(bytes) : slot;
  }

  /** Copies `bytes[start, end)` to where the value's byte `at` is, in a reserved slot. */
  write(slot: number, at: number, bytes: Uint8Array, start: number, end: number): void {
    const to = this.arena.valueStart(slot) + at;
    const part = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    this.arena.range(to, to + end - start).set(part);
  }

  /** Gives a reserved slot back. */
  abandon(slot: number): void {
    this.options.slots.give(slot);
  }

  /** Takes a slot for an item that is to replace `old`, of the same key, flags and exptime; or answers NO_MEMORY. */
  reserveSuccessor(old: number, valueBytes: number): number {
    const { arena } = this;
    this.pinned = old;
    const slot = this.reserve(arena.key(old), 0, arena.keyBytes(old), arena.flags(old), 0, valueBytes);
    this.pinned = -1;
    if (slot < 0) return NO_MEMORY;
    this.copyExptime(old, slot);
    return slot;
  }

  /** Makes the item in a reserved slot the key's; false when the table has no room (the slot is given back then). */
  link(slot: number): boolean {
    this.setCas(slot, this.ledger.nextCas());
    let old = this.options.region.link(slot);
    for (let i = 0; old === -2 && i < TABLE_EVICTIONS_MAX && this.evictor?.evictAny(); i++) {
      old = this.options.region.link(slot);
    }
    if (old === -2) {
      this.abandon(slot);
      return false;
    }
    this.totalItems++;
    this.tally.add(slot);
    if (this.arena.exptime(slot) !== 0) this.takenItems++;
    if (old >= 0) this.retire(old);
    return true;
  }

  /** Counts an item of an earlier node, which the region has linked already, and takes its times from that node's clock to this one's. */
  takeUp(slot: number): void {
    const { arena, ledger } = this;
    if (ledger.ahead !== 0) {
      const exptime = arena.exptime(slot);
      const isRelative = exptime !== 0 && !arena.hasState(slot, STATE.wallExptime);
      if (isRelative) arena.setU32(slot + ITEM.exptime, Math.max(1, exptime - ledger.ahead));
      arena.setU32(slot + ITEM.accessed, Math.max(0, arena.accessed(slot) - ledger.ahead));
    }
    this.tally.add(slot);
    ledger.noteCas(arena.cas(slot));
    this.nearExpiry.note(this.exptimeOf(slot), this.options.clock.seconds());
  }

  /** All items have been taken up. */
  takenUp(): void {
    const { ledger } = this;
    if (ledger.flushDue !== 0) ledger.flushDue = Math.max(1, ledger.flushDue - ledger.ahead);
    ledger.ahead = 0;
  }

  private setCas(slot: number, cas: number): void {
    this.arena.setU32(slot + ITEM.casLow, cas >>> 0);
    this.arena.setU32(slot + ITEM.casHigh, Math.floor(cas / 2 ** 32));
  }

  /** Marks the item stale, for the first client that reads it to recache, and gives it another cas unique. */
  invalidate(slot: number): void {
    this.mark(slot, STATE.stale, STATE.tokenSent);
    this.setCas(slot, this.ledger.nextCas());
  }

  /** Takes the item out of the table and frees its slot; does nothing when that has happened already. */
  remove(slot: number): void {
    if (!this.holdsItem(slot) || !this.options.region.unlink(slot)) return;
    // One that has a time to expire at was counted when it got that.
    if (this.arena.exptime(slot) === 0) this.takenItems++;
    this.retire(slot);
  }

  holdsItem(slot: number): boolean {
    return this.arena.u32(slot + ITEM.magic) === ITEM_MAGIC;
  }

  private retire(slot: number): void {
    this.tally.remove(slot);
    this.options.slots.retire(slot);
  }

  /** Gives the item another exptime, as the client gave it. */
  touch(slot: number, exptime: number): void {
    const { clock } = this.options;
    const now = clock.seconds();
    const absolute = absoluteExptime(exptime, now);
    this.nearExpiry.note(nodeExptime(exptime, clock), now);
    const before = this.arena.exptime(slot);
    if (absolute !== 0) this.takenItems++;
    this.tally.expiringItems += Number(absolute !== 0) - Number(before !== 0);
    this.setExptime(slot, absolute, isDate(exptime));
  }

  /** Has an item expire when another one does. */
  copyExptime(from: number, to: number): void {
    this.setExptime(to, this.arena.exptime(from), this.arena.hasState(from, STATE.wallExptime));
  }

  private setExptime(slot: number, exptime: number, isWall: boolean): void {
    this.arena.setU32(slot + ITEM.exptime, exptime);
    if (isWall !== this.arena.hasState(slot, STATE.wallExptime)) {
      this.mark(slot, isWall ? STATE.wallExptime : 0, isWall ? 0 : STATE.wallExptime);
    }
  }

  /** Keeps in the region how far the node's time and the wall clock are apart; to be called a few times a second. */
  noteClock(): void {
    const { clock } = this.options;
    const ahead = clock.seconds() - clock.wallSeconds();
    // A second's difference is a matter of when in a second each clock turns over.
    if (Math.abs(ahead - this.ledger.ahead) > 1) this.ledger.ahead = ahead;
  }

  /** The first slot at or behind `offset` that holds a linked item, or -1. */
  nextItem(offset: number): number {
    let slot = this.options.slots.nextUsed(offset);
    while (slot >= 0 && !this.holdsItem(slot)) slot = this.options.slots.nextUsed(slot + 1);
    return slot;
  }

  /** Removes the item if it has expired or was flushed; true when it did. */
  removeIfDead(slot: number): boolean {
    const dead = this.isDead(slot, this.options.clock.seconds());
    if (dead) this.reclaim(slot);
    return dead;
  }

  /** Moves an item to another slot, reserved and long enough. */
  move(from: number, to: number): void {
    this.options.region.move(from, to);
    this.tally.remove(from);
    this.tally.add(to);
    this.options.slots.retire(from);
    for (const onMove of this.moveListeners) onMove(from, to);
  }

  sizeClassOf(slot: number): number {
    return this.options.slots.classId(slot);
  }

  /** The size class that an item of that kind takes a slot of, whether there is one or not. */
  sizeClassFor(keyBytes: number, flags: number, valueBytes: number): number {
    const valueOffset = valueOffsetOf(textBytesOf(keyBytes, flags, valueBytes));
    return this.options.slots.classFor(valueOffset + valueBytes + 2) + 1;
  }
}
