/** Receives from many sockets of one thread: in each turn of its event loop in one go from all that have something. */
export interface Poller {
  /**
   * Watches a socket from now on, which nobody else may read from. Whoever closes it removes it first where its connection
   * has other descriptors, too.
   * @param index what to call it
   * @throws Error ERR_VOLLEY_MEMORY, ERR_VOLLEY_USAGE when it is watched already or is no socket
   */
  add(descriptor: number, index: number): void;
  /** Watches a socket no longer. */
  remove(descriptor: number): void;
  /** Watches nothing any more. */
  close(): void;
}
