import type { StoreOutcome } from '../commit.js';
import type { ArithmeticRequest, GetRequest, Refusal, Request, TouchRequest } from './commands.js';

/** How a command ended. */
export type Outcome =
  | StoreOutcome
  | 'ok'
  | 'deleted'
  | 'reset'
  | 'too-large'
  | 'bad-chunk' // the value does not end with CR LF
  | 'not-numeric' // incr or decr of something that is no number
  | 'no-topic'; // stats of something that there are none of

/** How a step of an authentication ended; the first two are the binary protocol's alone. */
export type LoginAnswer =
  | 'mechanisms' // the list of SASL mechanisms
  | 'continue' // the client is to send its message
  | 'accepted'
  | 'denied'
  | 'throttled'; // too many wrong attempts came from the client's address

/** Encodes answers of one protocol. Slots are arena offsets of live items. */
export interface Replies {
  hit(request: GetRequest, slot: number): void;
  /** Key number `index` of the request was not found. */
  miss(request: GetRequest, index: number): void;
  /** All keys of a retrieval are answered. */
  end(request: GetRequest): void;
  touched(request: TouchRequest, slot: number): void;
  /** `cas` is the cas unique of the item that was stored, or 0. */
  outcome(request: Request, outcome: Outcome, cas: number): void;
  number(request: ArithmeticRequest, value: bigint, cas: number): void;
  version(request: Request, version: string): void;
  stats(request: Request, stats: Iterable<readonly [name: string, value: string]>): void;
  /** The lines of `stats detail dump` or `stats cachedump`. */
  lines(request: Request, lines: readonly string[]): void;
  login(request: Request, answer: LoginAnswer): void;
  refused(request: Request, refusal: Refusal): void;
}
