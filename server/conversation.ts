import { GuardedCommands } from './auth/guarded-commands.js';
import { Login, type LoginContext } from './auth/login.js';
import type { Output } from './output.js';
import { BinaryParser, REQUEST_MAGIC } from './protocol/binary-parser.js';
import { BinaryReplies } from './protocol/binary-replies.js';
import type { Parser } from './protocol/commands.js';
import { TextLogin } from './protocol/text-login.js';
import { TextParser } from './protocol/text-parser.js';
import { TextReplies } from './protocol/text-replies.js';
import { Session, type SessionContext } from './session.js';

/** What a connection asks the one that carries out its commands. */
export interface Speaker {
  /** While true no further command is taken. */
  readonly paused: boolean;
  /** Whether the connection is to be closed behind the output so far. */
  readonly ended: boolean;
  /** Whether the client has to authenticate first. */
  readonly locked: boolean;
  /** Whether the connection is to go on elsewhere when all is answered. */
  readonly leaves?: boolean;
  /** What it has not carried out of bytes that the parser had kept; the connection has what follows. */
  readonly unread?: Uint8Array | null;
  /** To be called when output has gone. */
  outputTaken(): void;
  /** To be called when the connection is gone. */
  close(): void;
}

/** How the bytes of one connection are understood and answered. */
export interface Conversation {
  parser: Parser;
  session: Speaker;
}

/**
 * Begins a conversation.
 * @param first the first byte, which tells the protocol for the whole connection
 * @param address of the client, '' on a unix socket
 * @param onReady called when the session was paused and may not be so any more
 */
export type Converse = (first: number, output: Output, address: string, onReady: () => void) => Conversation;

/** What all conversations of a node share. */
export interface ConversationContext extends SessionContext {
  /** What clients have to authenticate against, or null when the node is open to all. */
  login: LoginContext | null;
  /** Whether flush_all is carried out. */
  flushAllowed: boolean;
}

/** Conversations in which all commands are carried out. */
export function converseFully(context: ConversationContext): Converse {
  return (first, output, address, onReady) => {
    const { login, counters, flushAllowed, store } = context;
    const isBinary = first === REQUEST_MAGIC;
    const replies = isBinary ? new BinaryReplies(output, store.arena) : new TextReplies(output, store.arena);
    const gate = login && new Login(login, address, onReady);
    const session = new Session(context, output, replies, onReady, gate);
    const isGuarded = gate !== null || !flushAllowed;
    const rights = () => gate?.rights ?? 'all';
    const handler = isGuarded ? new GuardedCommands(session, counters, rights, flushAllowed) : session;
    if (isBinary) return { session, parser: new BinaryParser(handler) };
    const parser = new TextParser(handler);
    return { session, parser: gate ? new TextLogin(handler, parser) : parser };
  };
}
