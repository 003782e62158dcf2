import { randomInt } from 'node:crypto';
import { LEDGER } from '../src/native.js';

/** Cas uniques that are set aside at a time, so that the region need not be written for each. */
const CAS_BLOCK = 2 ** 20;
/** Larger cas uniques are nothing that a node has ever given out. */
const CAS_MAX = 2 ** 52;
/** Clocks that are further apart than so many seconds were not told by a node. */
const AHEAD_MAX = 2 ** 31;

/** The numbers that a node keeps with its items, in the region: they outlive the node when the region does. */
export class Ledger {
  /**
   * Tells this start of a node from all others: of chance, for a count that is kept in the region may have been set back with what
   * it tells of. Never 0.
   */
  readonly start = randomInt(1, 2 ** 32);
  /** Cas unique given out last. */
  lastCas: number;
  private casReserved: number;

  constructor(private readonly words: BigUint64Array) {
    words[LEDGER.start] = BigInt(this.start);
    this.casReserved = Number(words[LEDGER.casReserved]);
    if (this.casReserved > CAS_MAX) this.casReserved = 0;
    this.lastCas = this.casReserved;
  }

  /** A cas unique that no item has had. */
  nextCas(): number {
    if (this.lastCas === this.casReserved) this.reserve(this.lastCas + CAS_BLOCK);
    return ++this.lastCas;
  }

  /** Takes note of a cas unique that an item has. */
  noteCas(cas: number): void {
    if (cas <= this.casReserved) return;
    this.reserve(cas);
    this.lastCas = cas;
  }

  private reserve(cas: number): void {
    this.casReserved = cas;
    this.words[LEDGER.casReserved] = BigInt(cas);
  }

  /** Items with a cas unique up to this one were flushed. */
  get flushedCas(): number {
    return Math.min(Number(this.words[LEDGER.flushedCas]), this.lastCas);
  }

  set flushedCas(cas: number) {
    this.words[LEDGER.flushedCas] = BigInt(cas);
  }

  /** Seconds that the node's time was ahead of the wall clock when that was looked at last. */
  get ahead(): number {
    const ahead = Number(BigInt.asIntN(64, this.words[LEDGER.ahead]!));
    return Math.abs(ahead) < AHEAD_MAX ? ahead : 0;
  }

  set ahead(seconds: number) {
    this.words[LEDGER.ahead] = BigInt.asUintN(64, BigInt(seconds));
  }

  /** When a delayed flush is due, in seconds since 1970; 0 = none is. */
  get flushDue(): number {
    return Number(this.words[LEDGER.flushDue]);
  }

  set flushDue(seconds: number) {
    this.words[LEDGER.flushDue] = BigInt(seconds);
  }
}
