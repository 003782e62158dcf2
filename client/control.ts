import type { Credentials } from '../src/credentials.js';
import { isVolleyError, type VolleyError } from '../src/errors.js';
import type { ControlAddress } from './control/address.js';
import { BinaryControl } from './control/binary.js';
import {
  type ConditionalDelete,
  type ControlProtocol,
  NotBinaryError,
  type ReadItem,
} from './control/protocol.js';
import { TextControl } from './control/text.js';
import { withDeadline } from './deadline.js';
import { nodeDown, nodeProtocol } from './node-errors.js';

/** A node that says nothing to a request of the binary protocol for so long is asked in text. */
const SILENCE_MS_MAX = 1000;
/** And what of a request's time it may take at most: the rest is for asking in text. */
const SILENCE_SHARE = 1 / 3;

/**
 * What is small or rare between a client and one node: statistics and manifests. By the binary protocol (memjs), unless
 * the node's first answer shows that it has none: then, and from then on, by the text protocol.
 */
export class ControlChannel {
  readonly #binary: BinaryControl;
  #text: TextControl | null = null;
  /** Whether the first answer has come, so that the protocol is settled. */
  #isSettled = false;

  constructor(
    readonly node: string,
    private readonly address: ControlAddress,
    readonly timeoutMs: number,
    private readonly credentials: Credentials | null,
  ) {
    const silenceMs = Math.min(SILENCE_MS_MAX, timeoutMs * SILENCE_SHARE);
    this.#binary = new BinaryControl(node, address, credentials, timeoutMs, silenceMs);
  }

  /** Whether the node asked, in text, who this client is. */
  get isAskedInText(): boolean {
    return this.#text?.isAsked ?? false;
  }

  /** The value under a key, or null. */
  async get(key: string, signal?: AbortSignal): Promise<Buffer | null> {
    return (await this.read(key, signal))?.value ?? null;
  }

  /** The value under a key with its CAS value, or null. */
  read(key: string, signal?: AbortSignal): Promise<ReadItem | null> {
    return this.#call(`get ${key}`, signal, (protocol) => protocol.read(key));
  }

  /** Stores the value if the key is not there yet; false when it is. */
  add(key: string, value: Buffer, signal?: AbortSignal): Promise<boolean> {
    return this.#call(`add ${key}`, signal, (protocol) => protocol.store('add', key, value));
  }

  /** Stores the value if the key is there; false when it is not. */
  replace(key: string, value: Buffer, signal?: AbortSignal): Promise<boolean> {
    return this.#call(`replace ${key}`, signal, (protocol) => protocol.store('replace', key, value));
  }

  /**
   * Deletes the item that was read, by its CAS value, so that another one that took its place stays. A node without CAS
   * values is asked for the item once more just before; one that comes between those two is then lost.
   */
  async deleteSame(key: string, { value, cas }: ReadItem, signal?: AbortSignal): Promise<ConditionalDelete> {
    if (cas === 0n) {
      const now = await this.get(key, signal);
      if (now && !now.equals(value)) return 'changed';
    }
    return this.#call(`delete ${key}`, signal, (protocol) => protocol.delete(key, cas));
  }

  /** A section of the node's statistics ('' = the general ones), or null when the node does not have that section. */
  stats(section: string, signal?: AbortSignal): Promise<Record<string, string> | null> {
    return this.#call(`stats ${section}`.trim(), signal, (protocol) => protocol.stats(section));
  }

  /** The node's version where it is not among its statistics, or null; only nodes that speak text are asked. */
  async version(signal?: AbortSignal): Promise<string | null> {
    const text = this.#text;
    return text && this.#call('version', signal, () => text.version());
  }

  /** The error for a request that was not answered in time. */
  timedOut(what: string): VolleyError {
    return this.#protocol.timedOut(what, this.timeoutMs);
  }

  /** Ends the connection. The channel can be used again; it then connects anew. */
  close(): void {
    this.#protocol.discard(nodeDown(this.node, new Error('this client closed the connection')));
  }

  get #protocol(): ControlProtocol {
    return this.#text ?? this.#binary;
  }

  async #call<T>(
    what: string,
    signal: AbortSignal | undefined,
    operation: (protocol: ControlProtocol) => Promise<T>,
  ): Promise<T> {
    let protocol = this.#protocol;
    try {
      const work = this.#ask(protocol, operation, (other) => {
        protocol = other;
      });
      return await withDeadline(work, this.timeoutMs, signal, () => this.timedOut(what));
    } catch (error) {
      if (hasNoAnswer(error)) protocol.discard(error as Error);
      throw error;
    }
  }

  /** Asks by the protocol, or, where that is not the node's, by the other one. */
  async #ask<T>(
    protocol: ControlProtocol,
    operation: (protocol: ControlProtocol) => Promise<T>,
    onChange: (protocol: ControlProtocol) => void,
  ): Promise<T> {
    try {
      const answer = await operation(protocol);
      this.#isSettled = true;
      return answer;
    } catch (error) {
      if (!(error instanceof NotBinaryError) || this.#isSettled) throw this.#failure(error);
    }
    this.#text ??= new TextControl(this.node, this.address, this.credentials, this.timeoutMs);
    onChange(this.#text);
    return operation(this.#text).catch((error) => {
      throw this.#failure(error);
    });
  }

  #failure(error: unknown): VolleyError {
    if (!(error instanceof NotBinaryError)) return nodeDown(this.node, error);
    if (error.answer) return nodeProtocol(this.node, 'a request of the binary protocol', error.answer);
    return nodeDown(this.node, error.cause ?? error);
  }
}

/** Whether the answer to a request may still come, so that the connection cannot be used for another one. */
function hasNoAnswer(error: unknown): boolean {
  return isVolleyError(error) && (error.code === 'ERR_VOLLEY_TIMEOUT' || error.code === 'ERR_VOLLEY_ABORTED');
}
