import { PassThrough } from 'node:stream';
import * as assert from 'uvu/assert';
import { ROOT } from '../../src/root.js';
import { type ProgramReport, parseReports } from './program-reports.js';
import { runInVm } from './vm.js';
import { VmError } from './vm-process.js';

/** Enough on a host that is busy otherwise; shorter than what run-tests.mjs gives a file. */
const TIMEOUT_MS = 280_000;

interface VmRun {
  reports: Map<string, ProgramReport>;
  /** What the VM took, without what it waited for others on this host. */
  ownSeconds: number;
}

/** Compiled programs that run in one VM, booted when the first of their reports is asked for. */
export class VmPrograms {
  readonly #script: string;
  #run: Promise<VmRun> | undefined;

  /** @param phases what programs.sh is given, one after the other */
  constructor(...phases: readonly (readonly string[])[]) {
    const lines = phases.map((words) => words.map((word) => `'${word}'`).join(' '));
    this.#script = lines.map((words) => `sh test/verbs/programs.sh ${words}`).join('\n');
  }

  /** What the VM took, without what it waited for others on this host. */
  async ownSeconds(): Promise<number> {
    return (await this.#ran()).ownSeconds;
  }

  /** What a program printed. Fails when it failed. */
  async outputOf(program: string): Promise<string> {
    const report = (await this.#ran()).reports.get(program);
    assert.ok(report, `nothing was told of ${program}`);
    assert.is(report!.code, 0, report!.output);
    return report!.output;
  }

  /** Demands that at least so many tests of a program passed, and none failed. Returns what it printed. */
  async passed(program: string, least: number): Promise<string> {
    const output = await this.outputOf(program);
    const counts = /Total:\s+(\d+)\s+Passed:\s+(\d+)/.exec(output) ?? [];
    const [total, passed] = counts.slice(1).map(Number);
    assert.ok(passed! >= least, output);
    assert.is(passed!, total, output);
    return output;
  }

  #ran(): Promise<VmRun> {
    this.#run ??= this.#boot();
    return this.#run;
  }

  /** Shows the guest's log when the VM fails, or a program in it. */
  async #boot(): Promise<VmRun> {
    const stdout = new PassThrough();
    let output = '';
    stdout.on('data', (bytes) => {
      output += bytes;
    });
    const command = ['sh', '-c', this.#script];
    const machine = { folder: ROOT, modules: ['veth', 'bridge'], timeoutMs: TIMEOUT_MS };
    const run = runInVm({ command, ...machine, stdout, stderr: process.stderr });
    const report = await run.catch((error) => {
      if (error instanceof VmError) console.log(`${output}\n${error.log.join('\n')}`);
      throw error;
    });
    const reports = parseReports(output);
    const seconds = [...reports].map(([program, one]) => `${program} ${one.seconds} s`).join(', ');
    const waited = `${Math.round(report.waitedMs / 1000)} of them waiting for a processor`;
    console.log(`in the VM for ${Math.round(report.totalMs / 1000)} s, ${waited}: ${seconds}`);
    if ([...reports.values()].some(({ code }) => code !== 0)) console.log(report.log.join('\n'));
    return { reports, ownSeconds: (report.totalMs - report.waitedMs) / 1000 };
  }
}
