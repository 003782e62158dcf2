import type { Arena } from '../arena.js';
import { STATE } from '../item.js';
import type { Output } from '../output.js';
import { isKey, type Request } from './commands.js';
import type { MetaCommand, MetaFlags, MetaRefusal, MetaRequest } from './meta-requests.js';
import type { Outcome } from './replies.js';

const CLIENT_ERROR = 'CLIENT_ERROR';

export const META_REFUSALS: Record<MetaRefusal, string> = {
  'flags-many': `${CLIENT_ERROR} options flags too long\r\n`,
  'flags-many-get': `${CLIENT_ERROR} options flags are too long\r\n`,
  'flag-twice': `${CLIENT_ERROR} duplicate flag\r\n`,
  'flag-unknown': `${CLIENT_ERROR} invalid flag\r\n`,
  'flags-wrong': `${CLIENT_ERROR} invalid or duplicate flag\r\n`,
  'flag-number': `${CLIENT_ERROR} bad token in command line format\r\n`,
  'flag-mode-length': `${CLIENT_ERROR} incorrect length for M token\r\n`,
  'flag-initial': `${CLIENT_ERROR} invalid numeric initial value\r\n`,
  'flag-delta': `${CLIENT_ERROR} invalid numeric delta value\r\n`,
  'flag-key': `${CLIENT_ERROR} error decoding key\r\n`,
  'flag-opaque': `${CLIENT_ERROR} opaque token too long\r\n`,
  'mode-store': `${CLIENT_ERROR} invalid mode for ms M token\r\n`,
  'mode-arithmetic': `${CLIENT_ERROR} invalid mode for ma M token\r\n`,
};

/** Codes of the outcomes that have one; the others are told in the words of the classic commands. */
const CODES: Partial<Record<Outcome, string>> = {
  stored: 'HD',
  deleted: 'HD',
  exists: 'EX',
  'not-found': 'NF',
  'not-stored': 'NS',
};

/** The flags that an answer repeats or fills in, by command; one without an item tells key and opaque alone. */
const TOLD: Record<MetaCommand, string> = { get: 'stcflhkO', set: 'kOc', delete: 'kO', arithmetic: 'ctkO' };
const TOLD_WITHOUT_ITEM = 'kO';

/** What the answer to an `mg` or `ma` tells that the item's header does not. */
export interface MetaFacts {
  /** Seconds that were left to the item where flag t stood; -1 = it does not expire. */
  ttl: number;
  /** Seconds since the item was used, before this request. */
  idle: number;
  /** Whether the item had been read before this request. */
  fetched: boolean;
  /** W: the client is the one to recache the item; Z: another one is. */
  won: boolean;
  sent: boolean;
  /** Whether this request made the item. */
  created: boolean;
}

/** Answers of the meta commands, as memcached 1.6.18 words them. */
export class MetaReplies {
  constructor(
    private readonly output: Output,
    private readonly arena: Arena,
  ) {}

  hit(request: MetaRequest, slot: number, facts: MetaFacts): void {
    const { arena, output } = this;
    const { meta } = request;
    const valueBytes = arena.valueBytes(slot);
    const marks = `${facts.sent ? ' Z' : ''}${arena.hasState(slot, STATE.stale) ? ' X' : ''}${facts.won ? ' W' : ''}`;
    const head = meta.value ? `VA ${valueBytes}` : 'HD';
    output.text(`${head}${this.flagsOf(request, slot, facts, arena.cas(slot))}${marks}\r\n`);
    if (!meta.value) return;
    const start = arena.valueStart(slot);
    output.arena(arena.range(start, start + valueBytes + 2));
  }

  miss(request: MetaRequest): void {
    if (!request.quiet) this.output.text(`EN${this.flagsOf(request, -1, null, 0)}\r\n`);
  }

  number(request: MetaRequest, value: bigint, slot: number, facts: MetaFacts): void {
    if (request.quiet && !facts.created) return;
    const text = value.toString();
    const flags = this.flagsOf(request, slot, facts, this.arena.cas(slot));
    this.output.text(request.meta.value ? `VA ${text.length}${flags}\r\n${text}\r\n` : `HD${flags}\r\n`);
  }

  /** Tells how a store, a delete or an arithmetic command ended that has no number; false when there is no code for it. */
  outcome(request: MetaRequest, outcome: Outcome, cas: number): boolean {
    const code = CODES[outcome];
    if (code === undefined) return false;
    if (request.quiet && code === 'HD') return true;
    this.output.text(`${code}${this.flagsOf(request, -1, null, cas)}\r\n`);
    return true;
  }

  /** @param secondsLeft Infinity when the item does not expire */
  debug(slot: number, nowSeconds: number, secondsLeft: number, classId: number): void {
    const { arena } = this;
    // What is left; memcached before 1.6.38 has the sign the other way round.
    const exp = Number.isFinite(secondsLeft) ? secondsLeft : -1;
    const key = arena.key(slot);
    const name = this.isBinary(slot) ? key.toString('base64') : key.toString('latin1');
    this.output.text(
      `ME ${name} exp=${exp} la=${nowSeconds - arena.accessed(slot)} cas=${arena.cas(slot)} ` +
        `fetch=${arena.hasState(slot, STATE.fetched) ? 'yes' : 'no'} cls=${classId} size=${arena.itemBytes(slot)}\r\n`,
    );
  }

  debugMiss(): void {
    this.output.text('EN\r\n');
  }

  noop(_request: Request): void {
    this.output.text('MN\r\n');
  }

  /** The flags of an answer, each with a space before it. */
  private flagsOf(request: MetaRequest, slot: number, facts: MetaFacts | null, cas: number): string {
    const { meta } = request;
    const told = facts !== null || meta.command === 'set' ? TOLD[meta.command] : TOLD_WITHOUT_ITEM;
    let text = '';
    for (let i = 0; i < meta.count; i++) {
      const letter = String.fromCharCode(meta.codes[i]!);
      if (told.includes(letter)) text += ` ${this.flag(letter, request, slot, facts, cas)}`;
    }
    return text;
  }

  private flag(
    letter: string,
    request: MetaRequest,
    slot: number,
    facts: MetaFacts | null,
    cas: number,
  ): string {
    switch (letter) {
      case 'O':
        return request.meta.opaque;
      case 'k':
        return `k${this.keyOf(request, slot)}`;
      case 'c':
        return `c${cas}`;
      case 's':
        return `s${this.arena.valueBytes(slot)}`;
      case 'f':
        return `f${this.arena.flags(slot)}`;
      case 't':
        return `t${facts!.ttl}`;
      case 'l':
        return `l${facts!.idle}`;
      default:
        return `h${facts!.fetched ? 1 : 0}`;
    }
  }

  /** The key in text; base64 and marked so when it came like that, or when the line would not hold it. */
  private keyOf(request: MetaRequest, slot: number): string {
    const { bytes, keyStart, keyEnd, meta } = request;
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + keyStart, keyEnd - keyStart);
    const isBinary = meta.command === 'get' && slot >= 0 ? this.isBinary(slot) : meta.binaryKey;
    return isBinary ? `${key.toString('base64')} b` : key.toString('latin1');
  }

  private isBinary(slot: number): boolean {
    if (this.arena.hasState(slot, STATE.binaryKey)) return true;
    const key = this.arena.key(slot);
    return !isKey(key, 0, key.length);
  }
}

/** The flags of a request that came as a meta command, or null. */
export function metaOf(request: Request & { meta?: MetaFlags }): MetaRequest | null {
  return request.meta ? (request as MetaRequest) : null;
}
