import { readdirSync, readFileSync } from 'node:fs';

/** What a process holds that could leak. */
export interface HeldResources {
  descriptors: number;
  threads: number;
  /** Memory of its own that is in RAM, without regions and files. */
  anonymousBytes: number;
  /** Memory that is locked or pinned, as for a fabric. */
  pinnedBytes: number;
}

export function heldBy(pid: number | 'self'): HeldResources {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    anonymousBytes: kilobytes('RssAnon') * 1024,
    pinnedBytes: (kilobytes('VmPin') + kilobytes('VmLck')) * 1024,
  };
}
