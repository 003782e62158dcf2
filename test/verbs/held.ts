import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds. */
export interface Held {
  descriptors: number;
  threads: number;
  /** Memory that devices have pinned, and that is locked. */
  pinnedKb: number;
  residentKb: number;
}

/** What a process holds now. @param pid a number, or `self` */
export function heldBy(pid: number | 'self'): Held {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    pinnedKb: kb('VmPin') + kb('VmLck'),
    residentKb: kb('VmRSS'),
  };
}
