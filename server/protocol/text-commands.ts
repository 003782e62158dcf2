import {
  type ArithmeticRequest,
  type CommandHandler,
  type FlushRequest,
  isKey,
  type KeyRequest,
  ONE_SIDED,
  type ReadsRequest,
  type Refusal,
  type Request,
  type StatsRequest,
  type StoreMode,
  type StoreRequest,
  type TouchRequest,
  VALUE_BYTES_MAX,
  type VerbosityRequest,
} from './commands.js';
import { MetaCommands } from './meta-commands.js';
import { OperatorCommands } from './operator-commands.js';
import { matches, Words } from './text-words.js';

const NOTHING = new Uint8Array(0);
const TOPICS_WITH_ARGUMENTS = ['detail', 'cachedump'];

/** What follows a line: the next line, the value of `storing`, one to be thrown away, or nothing more. */
export type Sequel = 'line' | 'value' | 'swallow' | 'end';

/** What `get` and its like are told apart by. */
export interface RetrievalKind {
  withCas: boolean;
  touch: boolean;
  markOnly?: boolean;
}

/** Reads the lines of all commands but the retrievals and hands them on as requests. */
export class TextCommands {
  readonly plain: Request = { opcode: 0, opaque: 0, quiet: false };
  private readonly key: KeyRequest = { ...this.plain, bytes: NOTHING, keyStart: 0, keyEnd: 0, cas: 0n };
  private readonly storeRequest: StoreRequest = {
    ...this.key,
    mode: 'set',
    flags: 0,
    exptime: 0,
    valueBytes: 0,
  };
  private readonly arithmeticRequest: ArithmeticRequest = {
    ...this.key,
    decrement: false,
    delta: 0n,
    initial: null,
    exptime: 0,
  };
  private readonly touchRequest: TouchRequest = { ...this.key, exptime: 0 };
  private readonly flushRequest: FlushRequest = { ...this.plain, delay: 0 };
  private readonly statsRequest: StatsRequest = { ...this.plain, topic: '' };
  private readonly verbosityRequest: VerbosityRequest = { ...this.plain, level: 0 };
  private readonly readsRequest: ReadsRequest = { ...this.plain, transport: 'local', chunks: 0, bytes: 0 };
  private readonly words = new Words();
  /** The store whose value is coming. */
  storing: StoreRequest = this.storeRequest;
  readonly meta: MetaCommands;
  readonly operator: OperatorCommands;

  constructor(private readonly handler: CommandHandler) {
    this.meta = new MetaCommands(handler, this.words);
    this.operator = new OperatorCommands(handler, this.words);
  }

  /** Carries out the line `bytes[from, to)`, given without its end. */
  run(command: Command | undefined, bytes: Uint8Array, from: number, to: number): Sequel {
    this.words.split(bytes, from, to);
    return command?.run ? command.run(this) : this.unknown();
  }

  private unknown(): Sequel {
    const last = this.words.count > 0 ? this.words.text(this.words.count - 1) : '';
    // A browser that was led here must not get its body carried out as commands.
    if (!last.startsWith('HTTP/')) return this.refuse(this.plain, 'unknown');
    this.handler.refuse(this.plain, 'http');
    return 'end';
  }

  /** Lets go of the bytes that the last requests pointed to. */
  release(): void {
    if (this.words.bytes === NOTHING) return; // there were retrievals only
    this.words.bytes = NOTHING;
    this.key.bytes = NOTHING;
    this.storeRequest.bytes = NOTHING;
    this.arithmeticRequest.bytes = NOTHING;
    this.touchRequest.bytes = NOTHING;
    this.meta.release();
  }

  private refuse(request: Request, refusal: Refusal): Sequel {
    this.handler.refuse(request, refusal);
    return 'line';
  }

  /** Whether the line has so many words; refuses it when not. A last word `noreply` makes the request quiet. */
  private wants(request: Request, least: number, most: number): boolean {
    const { count } = this.words;
    const fits = count >= least && count <= most;
    request.quiet = fits && this.words.is(count - 1, 'noreply');
    if (!fits) this.refuse(request, 'unknown');
    return fits;
  }

  /** Puts the line's second word in as the key; refuses the line when it may not be one. */
  private takesKey(request: KeyRequest): boolean {
    request.bytes = this.words.bytes;
    request.keyStart = this.words.start(1);
    request.keyEnd = this.words.end(1);
    const sound = isKey(request.bytes, request.keyStart, request.keyEnd);
    if (!sound) this.refuse(request, 'format');
    return sound;
  }

  store(mode: StoreMode): Sequel {
    const request = this.storeRequest;
    const words = mode === 'cas' ? 6 : 5;
    if (!this.wants(request, words, words + 1) || !this.takesKey(request)) return 'line';
    request.mode = mode;
    request.flags = this.words.integer(2);
    request.exptime = this.words.integer(3);
    request.valueBytes = this.words.integer(4);
    const cas = mode === 'cas' ? this.words.unsigned64(5) : 0n;
    request.cas = cas ?? 0n;
    const sound =
      request.flags >= 0 &&
      request.flags <= 0xffffffff &&
      !Number.isNaN(request.exptime) &&
      request.valueBytes >= 0 &&
      request.valueBytes <= VALUE_BYTES_MAX &&
      cas !== null;
    if (!sound) return this.refuse(request, 'format');
    this.storing = request;
    this.handler.storeBegin(request);
    return 'value';
  }

  metaStore(): Sequel {
    this.storing = this.meta.storeRequest;
    return this.meta.store();
  }

  delete(): Sequel {
    const { words, key } = this;
    if (!this.wants(key, 2, 4)) return 'line';
    key.quiet = words.count > 2 && key.quiet;
    const zero = words.is(2, '0');
    const sound = words.count === 2 || (words.count === 3 ? zero || key.quiet : zero && key.quiet);
    if (!sound) return this.refuse(key, 'delete-usage');
    if (this.takesKey(key)) this.handler.delete(key);
    return 'line';
  }

  arithmetic(decrement: boolean): Sequel {
    const request = this.arithmeticRequest;
    if (!this.wants(request, 3, 4) || !this.takesKey(request)) return 'line';
    const delta = this.words.unsigned64(2);
    if (delta === null) return this.refuse(request, 'delta');
    request.delta = delta;
    request.decrement = decrement;
    this.handler.arithmetic(request);
    return 'line';
  }

  touch(): Sequel {
    const request = this.touchRequest;
    if (!this.wants(request, 3, 4) || !this.takesKey(request)) return 'line';
    request.exptime = this.words.integer(2);
    if (Number.isNaN(request.exptime)) return this.refuse(request, 'exptime');
    this.handler.touch(request);
    return 'line';
  }

  flush(): Sequel {
    const request = this.flushRequest;
    if (!this.wants(request, 1, 3)) return 'line';
    request.delay = 0;
    if (this.words.count > (request.quiet ? 2 : 1)) {
      request.delay = this.words.integer(1);
      if (Number.isNaN(request.delay)) return this.refuse(request, 'exptime');
    }
    this.handler.flush(request);
    return 'line';
  }

  verbosity(): Sequel {
    const request = this.verbosityRequest;
    if (!this.wants(request, 2, 3)) return 'line';
    request.level = this.words.integer(1);
    if (!(request.level >= 0)) return this.refuse(request, 'format');
    this.handler.verbosity(request);
    return 'line';
  }

  stats(): Sequel {
    const { words, statsRequest } = this;
    const count = words.isOneOf(1, TOPICS_WITH_ARGUMENTS)
      ? Math.min(words.count, 4)
      : Math.min(words.count, 2);
    statsRequest.topic = '';
    for (let i = 1; i < count; i++) statsRequest.topic += (i > 1 ? ' ' : '') + words.text(i);
    this.handler.stats(statsRequest);
    return 'line';
  }

  reads(): Sequel {
    const { words, readsRequest } = this;
    if (!this.wants(readsRequest, 4, 5)) return 'line';
    const transport = ONE_SIDED.find((one) => words.is(1, one));
    readsRequest.chunks = words.integer(2);
    readsRequest.bytes = words.integer(3);
    if (transport === undefined || !(readsRequest.chunks >= 0) || !(readsRequest.bytes >= 0)) {
      return this.refuse(readsRequest, 'format');
    }
    readsRequest.transport = transport;
    this.handler.reads(readsRequest);
    return 'line';
  }

  operate(command: 'crawler' | 'lru' | 'slabs' | 'memoryLimit' | 'watch' | 'shutdown'): Sequel {
    this.operator[command]();
    return 'line';
  }

  refreshCertificates(): Sequel {
    this.plain.quiet = this.words.is(this.words.count - 1, 'noreply');
    this.handler.refreshCertificates(this.plain);
    this.plain.quiet = false;
    return 'line';
  }

  version(): Sequel {
    this.handler.version(this.plain);
    return 'line';
  }

  quit(): Sequel {
    this.handler.quit(this.plain);
    return 'end';
  }
}

export interface Command {
  name: string;
  /** Set when the line is a retrieval, which the parser takes apart itself, for it may be of any length. */
  retrieval?: RetrievalKind;
  run?(commands: TextCommands): Sequel;
}

function retrieval(name: string, withCas: boolean, touch: boolean): Command {
  return { name, retrieval: { withCas, touch } };
}

const ALL: Command[] = [
  retrieval('get', false, false),
  // An old name of get, which memcached still knows.
  retrieval('bget', false, false),
  retrieval('gets', true, false),
  retrieval('gat', false, true),
  retrieval('gats', true, true),
  { name: 'used', retrieval: { withCas: false, touch: false, markOnly: true } },
  { name: 'set', run: (commands) => commands.store('set') },
  { name: 'add', run: (commands) => commands.store('add') },
  { name: 'replace', run: (commands) => commands.store('replace') },
  { name: 'append', run: (commands) => commands.store('append') },
  { name: 'prepend', run: (commands) => commands.store('prepend') },
  { name: 'cas', run: (commands) => commands.store('cas') },
  { name: 'delete', run: (commands) => commands.delete() },
  { name: 'incr', run: (commands) => commands.arithmetic(false) },
  { name: 'decr', run: (commands) => commands.arithmetic(true) },
  { name: 'touch', run: (commands) => commands.touch() },
  { name: 'flush_all', run: (commands) => commands.flush() },
  { name: 'verbosity', run: (commands) => commands.verbosity() },
  { name: 'stats', run: (commands) => commands.stats() },
  { name: 'reads', run: (commands) => commands.reads() },
  { name: 'mg', run: (commands) => commands.meta.get() },
  { name: 'ms', run: (commands) => commands.metaStore() },
  { name: 'md', run: (commands) => commands.meta.delete() },
  { name: 'ma', run: (commands) => commands.meta.arithmetic() },
  { name: 'me', run: (commands) => commands.meta.debug() },
  { name: 'mn', run: (commands) => commands.meta.noop() },
  { name: 'lru_crawler', run: (commands) => commands.operate('crawler') },
  { name: 'lru', run: (commands) => commands.operate('lru') },
  { name: 'slabs', run: (commands) => commands.operate('slabs') },
  { name: 'cache_memlimit', run: (commands) => commands.operate('memoryLimit') },
  { name: 'watch', run: (commands) => commands.operate('watch') },
  { name: 'shutdown', run: (commands) => commands.operate('shutdown') },
  { name: 'refresh_certs', run: (commands) => commands.refreshCertificates() },
  { name: 'version', run: (commands) => commands.version() },
  { name: 'quit', run: (commands) => commands.quit() },
];

/** Commands by length and first letter of their names. */
const BY_SHAPE = new Map<number, Command[]>();
for (const command of ALL) {
  const shape = (command.name.length << 8) | command.name.charCodeAt(0);
  BY_SHAPE.set(shape, [...(BY_SHAPE.get(shape) ?? []), command]);
}

/** The command whose name is `bytes[from, to)`. */
export function findCommand(bytes: Uint8Array, from: number, to: number): Command | undefined {
  if (to === from) return undefined;
  for (const command of BY_SHAPE.get(((to - from) << 8) | bytes[from]!) ?? []) {
    if (matches(bytes, from, to, command.name)) return command;
  }
  return undefined;
}
