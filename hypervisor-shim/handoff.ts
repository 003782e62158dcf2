import { VolleyError } from '../src/errors.js';
import type { GuestMemory } from '../src/native.js';

/**
 * The handoff page: how the stub in the guest and the hook beside it talk (docs/protocol.md, "Handoff page"). The same
 * numbers stand in stub/stub.S.
 */
export const HANDOFF_ADDRESS = 0x101000;
export const HANDOFF_VERSION = 1;
const PAGE_TABLES_ADDRESS = 0x102000;
const PAGE = 4096;

const STUB_MAGIC = 'VOLLEYST';
const STUB_BYTES = 24;
const ORDER_MAGIC = 'VOLLEYHO';
const ORDER_OFFSET = 64;
const ORDER_BYTES = 48;
const DOORBELL_OFFSET = 128;
const GO = Buffer.from('VOLLEYGO', 'latin1');
const ABORT = Buffer.from('VOLLEYNO', 'latin1');

const PRESENT_WRITABLE = 3n;
const LARGE_PAGE = 0x83n; // present, writable, 2 MiB
const ENTRIES = 512;

/** What the stub says of itself. `absent`: it has not written its half yet. */
export type StubState = 'absent' | 'waiting' | 'started' | 'aborted' | 'refused';
const STATES: StubState[] = ['absent', 'waiting', 'started', 'aborted', 'refused'];

/** What the stub is told to start; guest physical addresses. */
export interface HandoffOrder {
  entry: number;
  initrdAddress: number;
  initrdBytes: number;
}

/** The hook's side of the handoff page, in guest memory whose low RAM begins at the backend's first byte. */
export class Handoff {
  readonly #memory: GuestMemory;
  readonly #offset: number;
  readonly #tablesOffset: number;

  /** @param offsetOf tells the backend's offset of guest physical bytes */
  constructor(memory: GuestMemory, offsetOf: (address: number, bytes: number) => number) {
    this.#memory = memory;
    this.#offset = offsetOf(HANDOFF_ADDRESS, PAGE);
    this.#tablesOffset = offsetOf(PAGE_TABLES_ADDRESS, 6 * PAGE);
  }

  /** @throws VolleyError ERR_VOLLEY_LAYOUT when the stub is of another version */
  state(): StubState {
    const stub = this.#memory.read(this.#offset, STUB_BYTES);
    if (stub.toString('latin1', 0, 8) !== STUB_MAGIC) return 'absent';
    const version = stub.readUInt32LE(8);
    if (version !== HANDOFF_VERSION) {
      const remedy = 'build both from one tree with npm run setup';
      throw new VolleyError(
        'ERR_VOLLEY_LAYOUT',
        `the stub speaks handoff version ${version}, the hook ${HANDOFF_VERSION}; ${remedy}`,
      );
    }
    return STATES[stub.readUInt32LE(12)] ?? 'absent';
  }

  /** Lays page tables and order. Call only after the stub has said `waiting`: firmware writes here before it. */
  write(order: HandoffOrder): void {
    this.#memory.write(this.#tablesOffset, identityPageTables(PAGE_TABLES_ADDRESS));
    const bytes = Buffer.alloc(ORDER_BYTES);
    bytes.write(ORDER_MAGIC, 0, 'latin1');
    bytes.writeUInt32LE(HANDOFF_VERSION, 8);
    bytes.writeBigUInt64LE(BigInt(order.entry), 16);
    bytes.writeBigUInt64LE(BigInt(PAGE_TABLES_ADDRESS), 24);
    bytes.writeBigUInt64LE(BigInt(order.initrdAddress), 32);
    bytes.writeBigUInt64LE(BigInt(order.initrdBytes), 40);
    this.#memory.write(this.#offset + ORDER_OFFSET, bytes);
  }

  /** Starts the kernel; everything else must have been written. */
  ring(): void {
    this.#memory.write(this.#offset + DOORBELL_OFFSET, GO);
  }

  /** Makes the stub reset the machine, upon which QEMU ends. */
  abort(): void {
    this.#memory.write(this.#offset + DOORBELL_OFFSET, ABORT);
  }
}

/**
 * Six pages that map the first 4 GiB of addresses to themselves in pages of 2 MiB: one PML4, one PDPT, four PDs.
 * @param address guest physical address that they will have
 */
export function identityPageTables(address: number): Buffer {
  const tables = Buffer.alloc(6 * PAGE);
  const at = BigInt(address);
  tables.writeBigUInt64LE((at + BigInt(PAGE)) | PRESENT_WRITABLE, 0);
  for (let directory = 0; directory < 4; directory++) {
    const page = (2 + directory) * PAGE;
    tables.writeBigUInt64LE((at + BigInt(page)) | PRESENT_WRITABLE, PAGE + directory * 8);
    for (let entry = 0; entry < ENTRIES; entry++) {
      const frame = BigInt(directory * ENTRIES + entry) << 21n;
      tables.writeBigUInt64LE(frame | LARGE_PAGE, page + entry * 8);
    }
  }
  return tables;
}
