import { decodeBase64 } from './base64.js';
import {
  type CommandHandler,
  isKey,
  KEY_BYTES_MAX,
  type Refusal,
  type Request,
  type StoreMode,
  VALUE_BYTES_MAX,
} from './commands.js';
import {
  FLAGS_MAX,
  type MetaArithmeticRequest,
  type MetaCommand,
  type MetaFlags,
  type MetaRequest,
  type MetaStoreRequest,
} from './meta-requests.js';
import type { Sequel } from './text-commands.js';
import type { Words } from './text-words.js';

const WORDS_MAX = 2 + FLAGS_MAX;
const OPAQUE_BYTES_MAX = 32;
const U32_MAX = 0xffffffff;
const NOTHING = new Uint8Array(0);

const STORE_MODES: Record<string, StoreMode> = {
  E: 'add',
  A: 'append',
  P: 'prepend',
  R: 'replace',
  S: 'set',
};
/** Whether an `ma` of this mode counts down. */
const ARITHMETIC_MODES: Record<string, boolean> = { I: false, '+': false, D: true, '-': true };

/** Reads the lines of the meta commands and hands them on as requests. */
export class MetaCommands {
  readonly storeRequest: MetaStoreRequest;
  private readonly flags: MetaFlags = {
    command: 'get',
    codes: new Uint8Array(FLAGS_MAX),
    count: 0,
    opaque: '',
    binaryKey: false,
    value: false,
    unused: false,
    invalidate: false,
    hasCas: false,
    exptime: null,
    vivify: null,
    recache: null,
  };
  private readonly keyRequest: MetaRequest;
  private readonly arithmeticRequest: MetaArithmeticRequest;
  /** What refusals and the noop answer to: meta commands are told of their faults even when they are quiet. */
  private readonly plain: Request = { opcode: 0, opaque: 0, quiet: false };
  /** A key that was base64, and one that has to outlive the line that it came with. */
  private readonly key = new Uint8Array(KEY_BYTES_MAX);
  // What the flags of the line at hand tell beside this.flags.
  private quiet = false;
  private clientFlags = 0;
  private cas = 0n;
  private mode = '';
  private delta = 1n;
  private initial = 0n;

  constructor(
    private readonly handler: CommandHandler,
    private readonly words: Words,
  ) {
    const key = { ...this.plain, bytes: NOTHING, keyStart: 0, keyEnd: 0, cas: 0n, meta: this.flags };
    this.keyRequest = { ...key };
    this.storeRequest = { ...key, mode: 'set', flags: 0, exptime: 0, valueBytes: 0 };
    this.arithmeticRequest = { ...key, decrement: false, delta: 0n, initial: null, exptime: 0 };
  }

  /** Lets go of the bytes that the last requests pointed to. */
  release(): void {
    this.keyRequest.bytes = NOTHING;
    this.arithmeticRequest.bytes = NOTHING;
  }

  get(): Sequel {
    if (this.opens('get', 2, 'flags-many-get') && this.takesFlags(2)) {
      this.handler.meta.get(this.fill(this.keyRequest));
    }
    return 'line';
  }

  delete(): Sequel {
    if (this.opens('delete', 2, 'flags-many') && this.takesFlags(2, 'flags-wrong')) {
      this.handler.meta.delete(this.fill(this.keyRequest));
    }
    return 'line';
  }

  debug(): Sequel {
    if (this.words.count < 2) return this.refuse('format');
    this.reset('get');
    const isBase64 = this.words.is(2, 'b');
    if (!this.takesKey()) return 'line';
    if (isBase64 && !this.decodeKey()) return this.refuse('format');
    this.handler.meta.debug(this.fill(this.keyRequest));
    return 'line';
  }

  noop(): Sequel {
    this.handler.meta.noop(this.plain);
    return 'line';
  }

  arithmetic(): Sequel {
    if (!this.opens('arithmetic', 2, 'flags-many') || !this.takesFlags(2, 'flags-wrong')) return 'line';
    const decrement = this.mode === '' ? false : ARITHMETIC_MODES[this.mode];
    if (decrement === undefined) return this.refuse('mode-arithmetic');
    const request = this.fill(this.arithmeticRequest);
    request.decrement = decrement;
    request.delta = this.delta;
    request.initial = this.flags.vivify === null ? null : this.initial;
    this.handler.meta.arithmetic(request);
    return 'line';
  }

  store(): Sequel {
    if (!this.opens('set', 3, 'flags-many')) return 'line';
    const request = this.storeRequest;
    request.valueBytes = this.words.integer(2);
    if (!(request.valueBytes >= 0 && request.valueBytes <= VALUE_BYTES_MAX)) return this.refuse('format');
    // From here on the value is swallowed when the line is refused.
    if (!this.takesFlags(3)) return 'swallow';
    const mode = this.mode === '' ? 'set' : STORE_MODES[this.mode];
    if (mode === undefined) {
      this.refuse('mode-store');
      return 'swallow';
    }
    this.fill(request);
    this.keepKey();
    const mustMatch = this.flags.hasCas && (mode === 'set' || mode === 'replace');
    request.mode = mustMatch ? 'cas' : mode;
    request.flags = this.clientFlags;
    request.exptime = this.flags.exptime ?? 0;
    this.handler.storeBegin(request);
    return 'value';
  }

  private refuse(refusal: Refusal): Sequel {
    this.handler.refuse(this.plain, refusal);
    return 'line';
  }

  /** Begins a line that has at least `words` words; refuses it when their number or the key's length is wrong. */
  private opens(command: MetaCommand, words: number, tooMany: Refusal): boolean {
    const { count } = this.words;
    this.reset(command);
    if (count < 2) this.refuse('unknown');
    else if (!this.takesKey()) return false;
    else if (count < words) this.refuse('format');
    else if (count > WORDS_MAX) this.refuse(tooMany);
    else return true;
    return false;
  }

  private takesKey(): boolean {
    const { words, keyRequest } = this;
    keyRequest.bytes = words.bytes;
    keyRequest.keyStart = words.start(1);
    keyRequest.keyEnd = words.end(1);
    const sound = isKey(keyRequest.bytes, keyRequest.keyStart, keyRequest.keyEnd);
    if (!sound) this.refuse('format');
    return sound;
  }

  private reset(command: MetaCommand): void {
    const { flags } = this;
    flags.command = command;
    flags.count = 0;
    flags.opaque = '';
    flags.binaryKey = flags.value = flags.unused = flags.invalidate = flags.hasCas = false;
    flags.exptime = flags.vivify = flags.recache = null;
    this.quiet = false;
    this.clientFlags = 0;
    this.cas = 0n;
    this.mode = '';
    this.delta = 1n;
    this.initial = 0n;
  }

  /** Takes the flags from word `first` on; refuses the line, as `always` if that is given, when one is wrong. */
  private takesFlags(first: number, always?: Refusal): boolean {
    const fault = this.takeFlags(first);
    if (fault) this.refuse(always ?? fault);
    else if (this.flags.opaque.length > OPAQUE_BYTES_MAX) this.refuse('flag-opaque');
    else return true;
    return false;
  }

  /** What is wrong with the flags, or null. Of several faults the last one is told, but for a bare 'format', as memcached does. */
  private takeFlags(first: number): Refusal | null {
    const { flags, words } = this;
    let fault: Refusal | null = null;
    for (let i = first; i < words.count; i++) {
      const code = words.bytes[words.start(i)]!;
      const known = flags.codes.subarray(0, flags.count);
      if (code >= 0x7f || known.includes(code)) return 'flag-twice';
      flags.codes[flags.count++] = code;
      const wrong = this.takeFlag(String.fromCharCode(code), i);
      if (wrong === 'flag-unknown') return wrong;
      if (wrong !== 'format') fault = wrong ?? fault;
      else fault ??= wrong;
    }
    return fault;
  }

  private takeFlag(letter: string, index: number): Refusal | null {
    const { flags, words } = this;
    switch (letter) {
      case 'b':
        return this.decodeKey() ? null : 'flag-key';
      case 'v':
        flags.value = true;
        return null;
      case 'u':
        flags.unused = true;
        return null;
      case 'q':
        this.quiet = true;
        return null;
      case 'I':
        flags.invalidate = true;
        return null;
      case 'O':
        flags.opaque = words.text(index);
        return null;
      case 'M':
        this.mode = words.text(index).slice(1);
        return this.mode.length === 1 ? null : 'flag-mode-length';
      case 'N':
      case 'R':
      case 'T':
      case 'F':
        return this.takeNumber(letter, words.integer(index, 1));
      case 'C':
      case 'J':
      case 'D':
        return this.takeLargeNumber(letter, words.unsigned64(index, 1));
      default:
        return 'ckfhlstLP'.includes(letter) ? null : 'flag-unknown';
    }
  }

  private takeNumber(letter: 'N' | 'R' | 'T' | 'F', value: number): Refusal | null {
    if (letter === 'F') {
      this.clientFlags = value;
      return value >= 0 && value <= U32_MAX ? null : 'format';
    }
    if (Number.isNaN(value)) return 'flag-number';
    if (letter === 'N') this.flags.vivify = value;
    else if (letter === 'R') this.flags.recache = value;
    else this.flags.exptime = value;
    return null;
  }

  private takeLargeNumber(letter: 'C' | 'J' | 'D', value: bigint | null): Refusal | null {
    if (letter === 'C') {
      this.flags.hasCas = true;
      this.cas = value ?? 0n;
      return value === null ? 'flag-number' : null;
    }
    if (letter === 'J') {
      this.initial = value ?? 0n;
      return value === null ? 'flag-initial' : null;
    }
    this.delta = value ?? 0n;
    return value === null ? 'flag-delta' : null;
  }

  /** Puts the decoded key in the place of the base64 one; false when it is none. */
  private decodeKey(): boolean {
    const { keyRequest } = this;
    const length = decodeBase64(keyRequest.bytes, keyRequest.keyStart, keyRequest.keyEnd, this.key);
    this.flags.binaryKey = true;
    keyRequest.bytes = this.key;
    keyRequest.keyStart = 0;
    keyRequest.keyEnd = length;
    return length > 0;
  }

  private fill<T extends MetaRequest>(request: T): T {
    const { keyRequest } = this;
    request.bytes = keyRequest.bytes;
    request.keyStart = keyRequest.keyStart;
    request.keyEnd = keyRequest.keyEnd;
    request.cas = this.cas;
    request.quiet = this.quiet;
    return request;
  }

  /** Copies the key of a store, which is told again when the value has come. */
  private keepKey(): void {
    const request = this.storeRequest;
    if (request.bytes === this.key) return;
    this.key.set(request.bytes.subarray(request.keyStart, request.keyEnd));
    request.keyEnd -= request.keyStart;
    request.keyStart = 0;
    request.bytes = this.key;
  }
}
