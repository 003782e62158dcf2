import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COUNT = '/proc/sys/vm/nr_hugepages';

/** A folder of hugetlbfs with hugepages of its own; all of it is given back at the end. */
export class Hugetlbfs {
  readonly folder = mkdtempSync(join(tmpdir(), 'volley-huge-'));
  /** How many hugepages there were; '' when that is as it was. */
  #before = '';
  #isMounted = false;
  #isClosed = false;

  /**
   * @param pages of 2 MiB
   * @throws Error that says why there can be none here
   */
  constructor(pages: number) {
    process.once('exit', () => this.close());
    try {
      const before = readFileSync(COUNT, 'latin1').trim();
      const wanted = Number(before) + pages;
      writeFileSync(COUNT, `${wanted}`);
      this.#before = before;
      const got = Number(readFileSync(COUNT, 'latin1'));
      if (got < wanted) throw new Error(`the system gives ${got} hugepages where ${wanted} are wanted`);
      const options = `size=${2 * pages}M,pagesize=2M`;
      execFileSync('mount', ['-t', 'hugetlbfs', '-o', options, 'volley-test', this.folder], {
        stdio: 'pipe',
      });
      this.#isMounted = true;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Nothing may use the folder any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isMounted) execFileSync('umount', [this.folder]);
    if (this.#before !== '') writeFileSync(COUNT, this.#before);
    rmdirSync(this.folder);
  }
}
