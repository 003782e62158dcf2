import pino, { type Logger } from 'pino';
import type { LogLevel, NodeOptions } from './options.js';

export type Log = Logger;

/**
 * A node's log, on stderr. Lines tell of addresses, users and reasons: never of keys, values or passwords, for commands are
 * not logged at any level.
 */
export function openLog(options: Pick<NodeOptions, 'verbosity' | 'logLevel' | 'logFormat'>): Log {
  const level = options.logLevel ?? levelOf(options.verbosity);
  const isText = options.logFormat === 'text' || (options.logFormat === 'auto' && process.stderr.isTTY);
  // What stderr cannot take is lost: a reader of the log that has gone is no reason for a node to end.
  const write = (line: string) => {
    process.stderr.write(isText ? textLine(JSON.parse(line)) : line);
  };
  const settings = {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(settings, { write });
}

function levelOf(verbosity: number): LogLevel {
  if (verbosity === 0) return 'warn';
  return verbosity === 1 ? 'debug' : 'trace';
}

/** `12:03:04.567 warn  127.0.0.1:11211 a client is gone peer=10.0.0.1:4321` */
function textLine(fields: Record<string, unknown>): string {
  const { level, time, pid, node, msg, ...others } = fields;
  const clock = String(time).slice(11, 23);
  const rest = Object.entries(others).map(([name, value]) => `${name}=${wordOf(value)}`);
  const words = [clock, String(level).padEnd(5), node ?? pid, msg, ...rest];
  return `${words.join(' ')}\n`;
}

function wordOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}
