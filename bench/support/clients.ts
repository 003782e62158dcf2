import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { program } from './reference.js';
import type { Server } from './servers.js';

const run = promisify(execFile);
const TIMEOUT_MS = 120_000;
/** The kernel's clock ticks per second, which /proc counts in. */
const TICKS_PER_SECOND = 100;
const SERVER_CORE = '0';
const CLIENTS_CORE = '1';

/** What the clients are to do; see the head of clients.c. */
export interface Load {
  does: 'get' | 'set' | 'mixed';
  connections: number;
  depth: number;
  keys: number;
  valueBytes: number;
  seconds: number;
}

/** What came of it. */
export interface LoadResult {
  requestsPerSecond: number;
  gbPerSecond: number;
  p50Us: number;
  p99Us: number;
  /** Seconds of the server's processor time per GB of values. */
  cpuSecondsPerGb: number;
}

/** Keeps a server on a core of its own, or on others. @param cores as taskset's -c takes them */
export async function pin(server: Server, cores = SERVER_CORE): Promise<void> {
  await run('taskset', ['-a', '-c', '-p', cores, String(server.pid)]);
}

async function clients(server: Server, cores: string, ...args: (string | number)[]): Promise<string> {
  const command = [await program('clients'), server.host, server.port, ...args].map(String);
  const { stdout } = await run('taskset', ['-c', cores, ...command], { timeout: TIMEOUT_MS });
  return stdout;
}

/** Stores the items that loads ask for. */
export async function store(server: Server, keys: number, valueBytes: number): Promise<void> {
  await clients(server, CLIENTS_CORE, 'store', 1, 1, keys, valueBytes, 0);
}

/**
 * Runs clients against a server for a time, on the clients' core or on others.
 * @throws Error when an answer was wrong or missing
 */
export async function load(server: Server, load: Load, cores = CLIENTS_CORE): Promise<LoadResult> {
  const { does, connections, depth, keys, valueBytes, seconds } = load;
  const before = cpuSeconds(server);
  const line = await clients(server, cores, does, connections, depth, keys, valueBytes, seconds);
  const spent = cpuSeconds(server) - before;
  const [requests, bytes, p50Us, p99Us, wrong] = line.trim().split(' ').map(Number);
  if (wrong !== 0) throw new Error(`${wrong} answers of ${server.name} were wrong`);
  // The clients begin to count after a fifth of the time, and stop six fifths after the beginning.
  const servedGb = (bytes! * seconds * 1.2) / 1e9;
  return {
    requestsPerSecond: requests!,
    gbPerSecond: bytes! / 1e9,
    p50Us: p50Us!,
    p99Us: p99Us!,
    cpuSecondsPerGb: spent / servedGb,
  };
}

/** User and system time of all of a server's threads. */
function cpuSeconds(server: Server): number {
  // Fields 14 and 15 of proc(5)'s stat; the name, field 2, may hold blanks.
  const stat = readFileSync(`/proc/${server.pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
