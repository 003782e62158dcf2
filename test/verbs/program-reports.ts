/** What programs.sh tells of one program. */
export interface ProgramReport {
  code: number;
  seconds: number;
  /** stdout and stderr. */
  output: string;
}

/** Reads what programs.sh prints. */
export function parseReports(text: string): Map<string, ProgramReport> {
  const parts = text.split(/^== (\S+) (\d+) (\d+)\n/m).slice(1);
  const reports = new Map<string, ProgramReport>();
  for (let i = 0; i < parts.length; i += 4) {
    const [program, code, seconds, output] = parts.slice(i, i + 4);
    reports.set(program!, { code: Number(code), seconds: Number(seconds), output: output! });
  }
  return reports;
}
