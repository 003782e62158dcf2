import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs `work` with the path of an executable shell script that stands in for QEMU. */
export async function withFakeQemu(script: string, work: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'volley-qemu-'));
  try {
    const path = join(folder, 'fake-qemu');
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await work(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Shell code that greets on descriptor 3 as QEMU's monitor does and accepts command mode. */
export const FAKE_MONITOR = `echo '{"QMP": {"version": {}, "capabilities": []}}' >&3
read line <&3; echo '{"return": {}, "id": 1}' >&3`;

/** Whether a process of this id runs (a zombie does not). */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !/^State:\s+Z/m.test(statusOf(pid));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State: Z';
  }
}
