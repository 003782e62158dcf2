import type { Request, SaslRequest } from '../protocol/commands.js';
import type { Replies } from '../protocol/replies.js';
import { parsePlain } from '../protocol/sasl-plain.js';
import type { Login } from './login.js';

/** The binary protocol's SASL authentication on one connection: PLAIN, its message at once or with a step. */
export class SaslDialogue {
  /** Whether an authentication has begun and its message is awaited. */
  private hasBegun = false;

  constructor(
    private readonly gate: Login,
    private readonly replies: Replies,
  ) {}

  mechanisms(request: Request): void {
    this.gate.lock();
    this.replies.login(request, 'mechanisms');
  }

  take(request: SaslRequest): void {
    const { gate, replies, hasBegun } = this;
    this.hasBegun = false;
    const { first, mechanism, message } = request;
    const isExpected = (first || hasBegun) && mechanism.toUpperCase() === 'PLAIN' && message !== null;
    if (isExpected && first && message.length === 0) {
      gate.lock();
      this.hasBegun = true;
      replies.login(request, 'continue');
      return;
    }
    const plain = isExpected ? parsePlain(message) : null;
    if (plain) gate.attempt(plain.user, plain.password, (verdict) => replies.login(request, verdict));
    else replies.login(request, gate.reject());
  }
}
