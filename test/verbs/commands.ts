import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

/** Runs a command of the system. @throws what it complains of */
export function run(...command: string[]): void {
  const { status, stderr, error } = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`${command.join(' ')}: ${stderr}`);
}

/** Sets a variable of the kernel, such as `net/ipv4/ip_forward`. */
export function setKernelVariable(name: string, value: string): void {
  writeFileSync(`/proc/sys/${name}`, value);
}
