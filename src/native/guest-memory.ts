/** Memory that a load fills: a memfd of our own, or a file that something else made. */
export interface GuestMemory {
  readonly bytes: number;
  readonly fd: number;
  readonly notice: string | null;
  /** Allocates the pages of a range now, so that a full disk or tmpfs is an error and not a SIGBUS. */
  reserve(offset: number, length: number): void;
  write(offset: number, data: Uint8Array): void;
  /** A copy of the range. */
  read(offset: number, length: number): Buffer;
  close(): void;
}
