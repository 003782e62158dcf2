import type { CommandHandler, DumpRequest, Refusal, Request } from './commands.js';
import type { Words } from './text-words.js';

/** memcached's least memory limit, and the number beyond which it takes megabytes for mistaken bytes. */
const MEGABYTES_MIN = 8;
const MEGABYTES_MAX = 1_000_000_000;
const CLASS_MAX = 255;
const CRAWLER_SETTINGS = ['tocrawl', 'sleep', 'disable'];
const LRU_SETTINGS = ['tune', 'mode', 'temp_ttl'];

/**
 * Reads the lines of the commands that operate memcached's memory, its LRU and its log. A node's memory is not managed
 * like that: what has no meaning here is refused in words, and not taken as if it had an effect.
 */
export class OperatorCommands {
  private readonly plain: Request = { opcode: 0, opaque: 0, quiet: false };
  private readonly dumpRequest: DumpRequest = { ...this.plain, classes: null };

  constructor(
    private readonly handler: CommandHandler,
    private readonly words: Words,
  ) {}

  private refuse(refusal: Refusal): void {
    this.plain.quiet = this.words.is(this.words.count - 1, 'noreply');
    this.handler.refuse(this.plain, refusal);
    this.plain.quiet = false;
  }

  crawler(): void {
    const { words, handler } = this;
    if (words.count === 2 && words.is(1, 'enable')) handler.noop(this.plain);
    else if (words.count === 3 && words.is(1, 'metadump')) this.dump();
    else if (words.count === 3 && words.is(1, 'crawl')) this.crawl();
    else if (words.count <= 3 && words.isOneOf(1, CRAWLER_SETTINGS)) this.refuse('crawler-fixed');
    else this.refuse('unknown');
  }

  private dump(): void {
    if (!this.takesClasses()) this.refuse('dump-class');
    else this.handler.dump(this.dumpRequest);
  }

  private crawl(): void {
    if (!this.takesClasses()) this.refuse('dump-class');
    else this.handler.sweep(this.plain);
  }

  /** Reads the third word as a list of size classes; false when it is none. */
  private takesClasses(): boolean {
    const request = this.dumpRequest;
    request.classes = null;
    if (this.words.is(2, 'all') || this.words.is(2, 'hash')) return true;
    const ids = this.words.text(2).split(',').map(Number);
    request.classes = new Set(ids);
    return ids.every((id) => Number.isInteger(id) && id >= 1 && id <= CLASS_MAX);
  }

  lru(): void {
    this.refuse(this.words.isOneOf(1, LRU_SETTINGS) ? 'lru-fixed' : 'unknown');
  }

  slabs(): void {
    const { words } = this;
    const isReassign = words.count === 4 && words.is(1, 'reassign');
    const isAutomove = words.count >= 3 && words.is(1, 'automove');
    if (isAutomove && !words.is(2, 'ratio') && !(words.integer(2) >= 0)) this.refuse('format');
    else this.refuse(isReassign || isAutomove ? 'slabs-fixed' : 'unknown');
  }

  memoryLimit(): void {
    const { words } = this;
    const megabytes = words.count === 2 || words.count === 3 ? words.integer(1) : Number.NaN;
    if (!(megabytes >= 0)) this.refuse('unknown');
    else if (megabytes < MEGABYTES_MIN) this.refuse('memory-small');
    else this.refuse(megabytes > MEGABYTES_MAX ? 'memory-units' : 'memory-fixed');
  }

  watch(): void {
    this.refuse('watch');
  }

  shutdown(): void {
    this.refuse('shutdown');
  }
}
