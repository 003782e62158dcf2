/** Sends over a connection what the system takes at once. */
export interface Sender {
  /** Returns how many bytes that were. */
  send(pieces: readonly Uint8Array[]): number;
}

/** Takes what a connection receives. */
export interface Recipient {
  /** Takes bytes[start, end). They are others as soon as it has returned. */
  received(bytes: Buffer, start: number, end: number): void;
}

/** Where a connection's bytes come in. */
export interface Inlet {
  /** A shorter way to write than through the socket, or null. */
  readonly sender: Sender | null;
  /** Begins to receive. */
  open(recipient: Recipient): void;
  pause(): void;
  resume(): void;
  /** Throws away what still comes. */
  discard(): void;
}
