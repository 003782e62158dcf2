import type { Region } from '../src/native.js';
import { Arena } from './arena.js';
import { ClassUse } from './class-use.js';
import type { Clock } from './clock.js';
import type { Evictor } from './evictor.js';
import { absoluteExptime } from './exptime.js';
import { ITEM, ITEM_HEADER_BYTES, ITEM_MAGIC, STATE, textBytesOf, valueOffsetOf, writeText } from './item.js';
import { Ledger } from './ledger.js';
import { NearExpiry } from './near-expiry.js';
import type { StoreMode } from './protocol/commands.js';
import type { Slots } from './slots.js';

/** What reserve() answers instead of a slot. */
export const TOO_LARGE = -1;
export const NO_MEMORY = -2;

export type StoreOutcome = 'stored' | 'not-stored' | 'exists' | 'not-found' | 'no-memory';

const U64 = 1n << 64n;
/** Longest prefix of a value that is looked at for a number. */
const NUMBER_BYTES_MAX = 64;
/** What an item is marked with when it is read. */
const USED = STATE.fetched | STATE.referenced;
/** Items that are evicted, at most, when the table has no room for a new one. */
const TABLE_EVICTIONS_MAX = 64;
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;

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
  readonly nearExpiry = new NearExpiry();
  /** Bytes of all linked items, and those of each size class. */
  itemBytes = 0;
  readonly classUse = new ClassUse();
  /** Items ever stored. */
  totalItems = 0;
  /** Dead items that were taken away, and those of them that somebody asked for: expired ones and flushed ones. */
  reclaimed = 0;
  getExpired = 0;
  getFlushed = 0;
  /** Linked items that have an exptime. */
  expiringItems = 0;
  /** A slot whose item must not be evicted now, or -1. */
  pinned = -1;
  /** Called when an item has been moved; for those who go through the arena. */
  readonly moveListeners = new Set<(from: number, to: number) => void>();
  /** Makes room when there is none; null when stores fail instead. */
  evictor: Evictor | null = null;
  /** Items that were not what they had been stored as when they were wanted. */
  damagedItems = 0;
  private readonly ledger: Ledger;
  /** Items with a cas unique up to this one were flushed. */
  private flushedCas: number;
  /** Whether there are items of an earlier node, whose values have to be checked before they are given out. */
  private readonly isRestored: boolean;
  private readonly oneRange = new Uint32Array(2);
  private readonly oneSlot = new Float64Array(1);

  constructor(private readonly options: StoreOptions) {
    this.arena = new Arena(options.region);
    this.ledger = new Ledger(options.region.ledger);
    this.flushedCas = this.ledger.flushedCas;
    this.isRestored = options.region.restored !== null;
  }

  /** Cas unique given out last. */
  get lastCas(): number {
    return this.ledger.lastCas;
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
    const exptime = this.arena.exptime(slot);
    if (exptime !== 0 && exptime <= now) this.getExpired++;
    else this.getFlushed++;
    this.reclaimed++;
    this.remove(slot);
  }

  /** Zeroes what `stats reset` zeroes. */
  resetCounts(): void {
    this.totalItems = 0;
    this.reclaimed = 0;
    this.getExpired = 0;
    this.getFlushed = 0;
    this.evictor?.resetCounts();
  }

  private isDead(slot: number, now: number): boolean {
    const exptime = this.arena.exptime(slot);
    if (exptime !== 0 && exptime <= now) return true;
    return this.flushedCas > 0 && this.arena.cas(slot) <= this.flushedCas;
  }

  /** Removes the items of an earlier node that are not what they were stored as; looks at each one's value once. */
  private dropDamaged(slots: Float64Array, count: number): void {
    const { start } = this.ledger;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (slot < 0 || this.arena.u32(slot + ITEM.seen) === start) continue;
      this.arena.setU32(slot + ITEM.seen, start);
      if (this.options.region.isIntact(slot)) continue;
      this.damagedItems++;
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

  /**
   * Links the item in a reserved slot, if `mode` and `cas` (0n: any) allow it beside what the key holds now; else the
   * slot is given back. With `mayBeStale` a cas unique lower than the item's is taken too, and the new item is stale.
   */
  commit(slot: number, mode: StoreMode, cas: bigint, mayBeStale = false): StoreOutcome {
    if (mode === 'set') return this.link(slot) ? 'stored' : 'no-memory';
    const key = this.arena.key(slot);
    const old = this.findOne(key, 0, key.length);
    const isStale = mayBeStale && mode === 'cas' && old >= 0 && cas > 0n && cas < BigInt(this.arena.cas(old));
    const refusal = isStale ? null : this.refusal(old, mode, cas);
    if (isStale) this.takeOver(slot, old);
    if (refusal) {
      this.abandon(slot);
      return refusal;
    }
    if (mode === 'add' || mode === 'replace' || mode === 'cas')
      return this.link(slot) ? 'stored' : 'no-memory';
    const joined = this.join(slot, old, mode);
    this.abandon(slot);
    if (joined < 0) return 'no-memory';
    return this.link(joined) ? 'stored' : 'no-memory';
  }

  /** Makes the new item a stale one that lives as long as the old one does. */
  private takeOver(slot: number, old: number): void {
    const { arena } = this;
    arena.setU32(slot + ITEM.exptime, arena.exptime(old));
    this.mark(slot, STATE.stale | (arena.u32(old + ITEM.state) & STATE.tokenSent), 0);
  }

  private refusal(old: number, mode: StoreMode, cas: bigint): StoreOutcome | null {
    if (mode === 'add') return old >= 0 ? 'not-stored' : null;
    if (old < 0) return mode === 'cas' ? 'not-found' : 'not-stored';
    const mustMatch = mode === 'cas' || cas !== 0n;
    return mustMatch && BigInt(this.arena.cas(old)) !== cas ? 'exists' : null;
  }

  /** A reserved slot with the item `old` and the value in `slot` behind or before its own, or NO_MEMORY. */
  private join(slot: number, old: number, mode: StoreMode): number {
    const { arena } = this;
    const valueBytes = arena.valueBytes(old) + arena.valueBytes(slot);
    this.pinned = old;
    const joined = this.reserve(arena.key(old), 0, arena.keyBytes(old), arena.flags(old), 0, valueBytes);
    this.pinned = -1;
    if (joined < 0) return NO_MEMORY;
    arena.setU32(joined + ITEM.exptime, arena.exptime(old));
    const [first, second] = mode === 'append' ? [old, slot] : [slot, old];
    this.copyValue(joined, 0, first);
    this.copyValue(joined, arena.valueBytes(first), second);
    return joined;
  }

  private copyValue(to: number, at: number, from: number): void {
    const start = this.arena.valueStart(from);
    const value = this.arena.range(start, start + this.arena.valueBytes(from));
    this.write(to, at, value, 0, value.length);
  }

  /** Makes the item in `slot` the key's; false when the table has no room (the slot is given back then). */
  private link(slot: number): boolean {
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
    this.count(slot);
    if (old >= 0) this.retire(old);
    return true;
  }

  private count(slot: number): void {
    const itemBytes = this.arena.itemBytes(slot);
    this.itemBytes += itemBytes;
    this.classUse.add(this.sizeClassOf(slot), itemBytes);
    if (this.arena.exptime(slot) !== 0) this.expiringItems++;
  }

  /** Counts an item of an earlier node, which the region has linked already. */
  takeUp(slot: number): void {
    this.count(slot);
    this.ledger.noteCas(this.arena.cas(slot));
    this.nearExpiry.note(this.arena.exptime(slot), this.options.clock.seconds());
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
    if (this.holdsItem(slot) && this.options.region.unlink(slot)) this.retire(slot);
  }

  holdsItem(slot: number): boolean {
    return this.arena.u32(slot + ITEM.magic) === ITEM_MAGIC;
  }

  private retire(slot: number): void {
    const itemBytes = this.arena.itemBytes(slot);
    this.itemBytes -= itemBytes;
    this.classUse.add(this.sizeClassOf(slot), -itemBytes);
    if (this.arena.exptime(slot) !== 0) this.expiringItems--;
    this.options.slots.retire(slot);
  }

  /** Gives the item another exptime, as the client gave it. */
  touch(slot: number, exptime: number): void {
    const now = this.options.clock.seconds();
    const absolute = absoluteExptime(exptime, now);
    this.nearExpiry.note(absolute, now);
    const before = this.arena.exptime(slot);
    this.expiringItems += Number(absolute !== 0) - Number(before !== 0);
    this.arena.setU32(slot + ITEM.exptime, absolute);
  }

  /**
   * Adds `delta` to the number that the item's value is (subtracts when `decrement`, not below 0; 64 bits, wrapping) and
   * stores it. As in memcached a number that became shorter is padded with spaces.
   */
  add(slot: number, delta: bigint, decrement: boolean): bigint | 'no-memory' | 'not-numeric' {
    const { arena } = this;
    const before = this.numberIn(slot);
    if (before === null) return 'not-numeric';
    const after = decrement ? (delta > before ? 0n : before - delta) : (before + delta) % U64;
    const digits = after.toString();
    const valueBytes = Math.max(digits.length, arena.valueBytes(slot));
    const key = arena.key(slot);
    this.pinned = slot;
    const changed = this.reserve(key, 0, key.length, arena.flags(slot), 0, valueBytes);
    this.pinned = -1;
    if (changed < 0) return 'no-memory';
    arena.setU32(changed + ITEM.exptime, arena.exptime(slot));
    // memcached counts in place, where there is room, and makes a new item else.
    if (valueBytes === arena.valueBytes(slot)) this.mark(changed, arena.u32(slot + ITEM.state), 0);
    const start = arena.valueStart(changed);
    const value = arena.range(start, start + valueBytes);
    value.fill(SPACE, digits.length);
    value.write(digits, 'latin1');
    return this.link(changed) ? after : 'no-memory';
  }

  private numberIn(slot: number): bigint | null {
    const start = this.arena.valueStart(slot);
    const end = start + Math.min(this.arena.valueBytes(slot), NUMBER_BYTES_MAX);
    const match = /^\s*\+?(\d{1,40})(?:\s|$)/.exec(this.arena.range(start, end).toString('latin1'));
    const value = match ? BigInt(match[1]!) : U64;
    return value < U64 ? value : null;
  }

  /** Makes all items of now dead, at once or after a delay as the client gave it. A later call replaces an earlier one. */
  flush(delay: number): void {
    const now = this.options.clock.seconds();
    const due = absoluteExptime(delay, now);
    this.ledger.flushDue = due > now ? due : 0;
    if (due <= now) this.flushAll();
  }

  /** Carries out a delayed flush that is due. True when it did. */
  flushIfDue(): boolean {
    const due = this.ledger.flushDue;
    if (due === 0 || due > this.options.clock.seconds()) return false;
    this.flushAll();
    return true;
  }

  private flushAll(): void {
    this.flushedCas = this.lastCas;
    this.ledger.flushedCas = this.flushedCas;
    this.ledger.flushDue = 0;
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
    if (dead) {
      this.reclaimed++;
      this.remove(slot);
    }
    return dead;
  }

  /** Moves an item to another slot, reserved and long enough. */
  move(from: number, to: number): void {
    this.options.region.move(from, to);
    const itemBytes = this.arena.itemBytes(to);
    this.classUse.add(this.sizeClassOf(from), -itemBytes);
    this.classUse.add(this.sizeClassOf(to), itemBytes);
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
