import { commit } from './commit.js';
import type { StoreContext } from './incoming-value.js';
import { addTo } from './numbers.js';
import type { ArithmeticRequest } from './protocol/commands.js';
import type { Outcome } from './protocol/replies.js';

/** Carries out the commands that count, whatever protocol they came by. */
export class Arithmetic {
  constructor(private readonly context: StoreContext) {}

  /** The number that the item has now, or why there is none. */
  carryOut(request: ArithmeticRequest): bigint | Outcome {
    const slot = this.context.store.findOne(request.bytes, request.keyStart, request.keyEnd);
    return slot < 0 ? this.begin(request) : this.addTo(request, slot);
  }

  private addTo(request: ArithmeticRequest, slot: number): bigint | Outcome {
    const { store, slots, counters } = this.context;
    const classId = slots.classId(slot);
    // memcached looks at the cas unique only when there is something to count.
    if (store.arena.valueBytes(slot) === 0) return 'not-numeric';
    if (request.cas !== 0n && request.cas !== BigInt(store.arena.cas(slot))) return 'exists';
    const result = addTo(store, slot, request.delta, request.decrement);
    if (result === 'no-memory') counters.noteNoMemory(classId);
    else {
      if (request.decrement) counters.decrHits++;
      else counters.incrHits++;
      counters.classes.add(request.decrement ? 'decr_hits' : 'incr_hits', classId);
    }
    return result;
  }

  /** Stores the initial value of a number that is not there, if the request has one. */
  private begin(request: ArithmeticRequest): bigint | Outcome {
    const { store, counters } = this.context;
    const { bytes, keyStart, keyEnd, initial, exptime, decrement } = request;
    if (initial === null) {
      if (decrement) counters.decrMisses++;
      else counters.incrMisses++;
      return 'not-found';
    }
    const text = initial.toString();
    const slot = store.reserve(bytes, keyStart, keyEnd, 0, exptime, text.length);
    if (slot < 0) {
      counters.noteNoMemory(store.sizeClassFor(keyEnd - keyStart, 0, text.length));
      return 'no-memory';
    }
    store.write(slot, 0, Buffer.from(text, 'latin1'), 0, text.length);
    const outcome = commit(store, slot, 'add', 0n);
    return outcome === 'stored' ? initial : outcome;
  }
}
