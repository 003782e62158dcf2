import { ONE_SIDED, type OneSided } from './protocol/commands.js';

/** Adds up what clients tell to have read without the node's doing. Nobody vouches for it. */
export class OneSidedReads {
  private readonly counts = new Map(ONE_SIDED.map((transport) => [transport, { chunks: 0, bytes: 0 }]));

  add({ transport, chunks, bytes }: { transport: OneSided; chunks: number; bytes: number }): void {
    const counts = this.counts.get(transport)!;
    counts.chunks += chunks;
    counts.bytes += bytes;
  }

  /** By the names of `stats volley`: `reads_local`, `read_bytes_local`, … */
  figures(): Record<string, number> {
    const pairs = [...this.counts].flatMap(([transport, { chunks, bytes }]) => [
      [`reads_${transport}`, chunks] as const,
      [`read_bytes_${transport}`, bytes] as const,
    ]);
    return Object.fromEntries(pairs);
  }
}
