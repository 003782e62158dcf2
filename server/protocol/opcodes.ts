import type { StoreMode } from './commands.js';

/** Opcodes of the binary protocol. */
export const OPCODE = {
  get: 0x00,
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  increment: 0x05,
  decrement: 0x06,
  quit: 0x07,
  flush: 0x08,
  getQ: 0x09,
  noop: 0x0a,
  version: 0x0b,
  getK: 0x0c,
  getKQ: 0x0d,
  append: 0x0e,
  prepend: 0x0f,
  stat: 0x10,
  setQ: 0x11,
  addQ: 0x12,
  replaceQ: 0x13,
  deleteQ: 0x14,
  incrementQ: 0x15,
  decrementQ: 0x16,
  quitQ: 0x17,
  flushQ: 0x18,
  appendQ: 0x19,
  prependQ: 0x1a,
  touch: 0x1c,
  gat: 0x1d,
  gatQ: 0x1e,
  saslMechanisms: 0x20,
  saslAuth: 0x21,
  saslStep: 0x22,
  gatK: 0x23,
  gatKQ: 0x24,
} as const;

/** What an opcode asks for, and the lengths that its request must have. */
export interface Operation {
  kind:
    | 'get'
    | 'store'
    | 'delete'
    | 'arithmetic'
    | 'touch'
    | 'flush'
    | 'stats'
    | 'version'
    | 'noop'
    | 'quit'
    | 'mechanisms'
    | 'sasl';
  quiet: boolean;
  /** Extras are exactly one of these many bytes long. */
  extras: readonly number[];
  key: 'required' | 'optional' | 'none';
  withKey: boolean;
  mode: StoreMode;
  decrement: boolean;
  /** Whether it is for clients that have not authenticated, too. */
  open: boolean;
}

const OPERATIONS: (Operation | undefined)[] = [];

function define(
  quiet: number | null,
  plain: number,
  operation: Partial<Operation> & Pick<Operation, 'kind'>,
): void {
  const whole: Operation = {
    quiet: false,
    extras: [0],
    key: 'required',
    withKey: false,
    mode: 'set',
    decrement: false,
    open: false,
    ...operation,
  };
  OPERATIONS[plain] = whole;
  if (quiet !== null) OPERATIONS[quiet] = { ...whole, quiet: true };
}

define(OPCODE.getQ, OPCODE.get, { kind: 'get' });
define(OPCODE.getKQ, OPCODE.getK, { kind: 'get', withKey: true });
define(OPCODE.gatQ, OPCODE.gat, { kind: 'get', extras: [4] });
define(OPCODE.gatKQ, OPCODE.gatK, { kind: 'get', extras: [4], withKey: true });
define(OPCODE.setQ, OPCODE.set, { kind: 'store', extras: [8], mode: 'set' });
define(OPCODE.addQ, OPCODE.add, { kind: 'store', extras: [8], mode: 'add' });
define(OPCODE.replaceQ, OPCODE.replace, { kind: 'store', extras: [8], mode: 'replace' });
define(OPCODE.appendQ, OPCODE.append, { kind: 'store', mode: 'append' });
define(OPCODE.prependQ, OPCODE.prepend, { kind: 'store', mode: 'prepend' });
define(OPCODE.deleteQ, OPCODE.delete, { kind: 'delete' });
define(OPCODE.incrementQ, OPCODE.increment, { kind: 'arithmetic', extras: [20] });
define(OPCODE.decrementQ, OPCODE.decrement, { kind: 'arithmetic', extras: [20], decrement: true });
define(null, OPCODE.touch, { kind: 'touch', extras: [4] });
define(OPCODE.flushQ, OPCODE.flush, { kind: 'flush', extras: [0, 4], key: 'none' });
define(null, OPCODE.stat, { kind: 'stats', key: 'optional' });
define(null, OPCODE.version, { kind: 'version', key: 'none', open: true });
define(null, OPCODE.noop, { kind: 'noop', key: 'none' });
define(OPCODE.quitQ, OPCODE.quit, { kind: 'quit', key: 'none' });
define(null, OPCODE.saslMechanisms, { kind: 'mechanisms', key: 'none', open: true });
define(null, OPCODE.saslAuth, { kind: 'sasl', open: true });
define(null, OPCODE.saslStep, { kind: 'sasl', open: true });

/** What an opcode asks for, or undefined when there is no such opcode. */
export function operationOf(opcode: number): Operation | undefined {
  return OPERATIONS[opcode];
}
