/** What a connection can do about what it receives. */
export interface Inlet {
  pause(): void;
  resume(): void;
  /** Throws away what still comes. */
  discard(): void;
}

/** Takes what was received, bytes[start, end). The bytes are others as soon as it has returned. */
export type OnBytes = (bytes: Buffer, start: number, end: number) => void;
