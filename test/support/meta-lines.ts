/** Draws command lines of the meta protocol, and some classic ones beside them, over a few keys. */

// Base64 of what could be a key of the text protocol, too: of others memcached forgets that they were base64, and answers
// lines that cannot be told apart.
const KEYS = ['a', 'b', 'foo', 'Zm9v', 'YWI=', '44OG44K544OI', 'x==', 'long'.repeat(20)];
/** memcached refuses it after it has made an item or counted, so it is drawn where that makes no difference. */
const LONG_OPAQUE = `O${'p'.repeat(40)}`;
const GET_FLAGS = [
  's',
  'v',
  'c',
  't',
  'f',
  'h',
  'l',
  'k',
  'u',
  'q',
  'b',
  'O1',
  'Oopaque',
  'N100',
  'N0',
  'R50',
  'R200',
];
const GET_TIMES = ['T100', 'T0', 'T-1', 'T60'];
const STORE_FLAGS = [
  'q',
  'c',
  'k',
  'b',
  'O7',
  LONG_OPAQUE,
  'F5',
  'T100',
  'T0',
  'I',
  'ME',
  'MA',
  'MP',
  'MR',
  'MS',
];
const DELETE_FLAGS = ['q', 'k', 'b', 'O9', LONG_OPAQUE, 'I', 'T30'];
const COUNT_FLAGS = ['q', 'c', 't', 'v', 'k', 'b', 'O3', 'N90', 'J13', 'D30', 'MI', 'M+', 'MD', 'M-'];
/** What no command takes, or not in this form. */
const WRONG_FLAGS = ['y', 'M', 'MXX', 'MZ', 'Nx', 'T', 'R1x', 'Cx', 'D-1', 'J', 'Fx', 's', '\xff'];

/** Stands for the cas unique that the server told last. */
export const CAS = '<cas>';

export class MetaLines {
  constructor(private readonly random: () => number) {}

  private pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  private flags(list: readonly string[], most: number): string {
    const words: string[] = [];
    for (let i = Math.floor(this.random() * (most + 1)); i > 0; i--) words.push(this.pick(list));
    // The same flag twice is an error; it is drawn on purpose, but seldom.
    const distinct = words.filter((word, i) => words.findIndex((other) => other[0] === word[0]) === i);
    if (this.random() < 0.03 && !distinct.includes(LONG_OPAQUE)) distinct.push(this.pick(WRONG_FLAGS));
    if (this.random() < 0.01) distinct.push(...'stvfhclkqu'.repeat(2));
    return distinct.map((word) => ` ${word}`).join('');
  }

  /** One command with its value. */
  next(): string {
    const key = this.pick(KEYS);
    const at = this.random();
    if (at < 0.35) return `mg ${key}${this.flags([...GET_FLAGS, ...GET_TIMES], 7)}\r\n`;
    if (at < 0.55) return this.store(key);
    if (at < 0.65) return `md ${key}${this.flags([...DELETE_FLAGS, `C${CAS}`, 'C0'], 3)}\r\n`;
    if (at < 0.8) return `ma ${key}${this.flags([...COUNT_FLAGS, `C${CAS}`], 5)}\r\n`;
    if (at < 0.85) return `me ${key}${this.pick(['', ' b', ' k'])}\r\n`;
    return this.classic(key);
  }

  private store(key: string): string {
    const value = this.pick(['1', '41', 'value', '', 'x'.repeat(300)]);
    const excess = this.random() < 0.03 ? 'excess' : '';
    const flags = this.flags([...STORE_FLAGS, `C${CAS}`, 'C1', 'C0'], 5);
    return `ms ${key} ${value.length}${flags}\r\n${value}${excess}\r\n`;
  }

  private classic(key: string): string {
    return this.pick([
      `set ${key} 3 0 2\r\n10\r\n`,
      `get ${key}\r\n`,
      `gets ${key}\r\n`,
      `append ${key} 0 0 1\r\n1\r\n`,
      `incr ${key} 5\r\n`,
      `touch ${key} 100\r\n`,
      `gat 0 ${key}\r\n`,
      `delete ${key}\r\n`,
      `cas ${key} 0 0 1 ${CAS}\r\n1\r\n`,
      'mg\r\n',
      `ms ${key}\r\n`,
      `ms ${key} x\r\n`,
      `ms ${key} -1\r\n`,
      `mx ${key}\r\n`,
    ]);
  }
}
