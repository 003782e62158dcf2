import type { ArithmeticRequest, KeyRequest, Request, StoreRequest } from './commands.js';

/** Flags that a meta command can have: memcached takes lines of up to 19 words. */
export const FLAGS_MAX = 17;

export type MetaCommand = 'get' | 'set' | 'delete' | 'arithmetic';

/** What the flags of a meta command ask for; memcached's doc/protocol.txt, "Meta Commands". */
export interface MetaFlags {
  command: MetaCommand;
  /** Letters of the flags in the order they came, which is that of the answer; the first `count` are valid. */
  codes: Uint8Array;
  count: number;
  /** `O…` as it came, at most 32 bytes of latin1, or ''. */
  opaque: string;
  /** b: the key came as base64. */
  binaryKey: boolean;
  /** v: the value is wanted. */
  value: boolean;
  /** u: the item is not to be taken for used. */
  unused: boolean;
  /** I: the item is to go stale and stay, or a value of a lower cas unique is to be taken as stale. */
  invalidate: boolean;
  /** C: the request's cas unique has to match, also when it is 0. */
  hasCas: boolean;
  /** T: new exptime, as the client gave it; null = leave it. */
  exptime: number | null;
  /** N: exptime of the item to make on a miss; null = make none. */
  vivify: number | null;
  /** R: an item that expires before this exptime is to be recached by the client; null = whenever. */
  recache: number | null;
}

/** A request of a meta command that names one key. */
export interface MetaRequest extends KeyRequest {
  meta: MetaFlags;
}

export interface MetaStoreRequest extends StoreRequest {
  meta: MetaFlags;
}

/** Its `initial` is null where `vivify` is, and its exptime 0: the flags tell in which order exptimes are set and told. */
export interface MetaArithmeticRequest extends ArithmeticRequest {
  meta: MetaFlags;
}

/** Carries out the meta commands that have no classic counterpart. (`ms` is a store with flags.) */
export interface MetaHandler {
  get(request: MetaRequest): void;
  delete(request: MetaRequest): void;
  arithmetic(request: MetaArithmeticRequest): void;
  /** `me`: what there is to know of an item. */
  debug(request: MetaRequest): void;
  noop(request: Request): void;
}

/** Why a meta command is refused. */
export type MetaRefusal =
  | 'flags-many' // more words than a line may have
  | 'flags-many-get' // the same of an mg, which memcached words differently
  | 'flag-twice'
  | 'flag-unknown'
  | 'flags-wrong' // md and ma tell no more than this
  | 'flag-number' // a flag's number is none
  | 'flag-mode-length'
  | 'flag-initial'
  | 'flag-delta'
  | 'flag-key' // the key is no base64
  | 'flag-opaque' // the opaque is too long
  | 'mode-store'
  | 'mode-arithmetic';
