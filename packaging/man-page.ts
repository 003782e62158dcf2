import type { CommandInfo, CommandLineInfo, OptionInfo } from './command-line.js';

/**
 * Fills the manual page's template with what the help texts tell: `@VERSION@`, and on lines of their own `@OPTIONS@`
 * and `@COMMANDS@`.
 * @throws Error when the template lacks one of them
 */
export function manPage(template: string, commandLine: CommandLineInfo): string {
  const parts: Record<string, string> = {
    '@VERSION@': roff(commandLine.version),
    '@OPTIONS@': commandLine.options.map(optionEntry).join('\n'),
    '@COMMANDS@': commandLine.commands.map(commandSection).join('\n'),
  };
  let page = template;
  for (const [place, text] of Object.entries(parts)) {
    if (!page.includes(place)) throw new Error(`the manual page's template lacks ${place}`);
    page = page.replaceAll(place, () => text);
  }
  return page;
}

function commandSection({ name, usage, description, options, afterwards }: CommandInfo): string {
  const synopsis = `.B volley ${roff(usage).replace(/^(\S+)/, '$1\\fR')}`;
  return [
    `.SS ${roff(name)}`,
    synopsis,
    '.PP',
    line(sentence(description)),
    ...options.map(optionEntry),
    ...(afterwards === '' ? [] : remarks(afterwards)),
  ].join('\n');
}

function optionEntry({ names, value, description }: OptionInfo): string {
  const named = names.map((name) => `\\fB${roff(name)}\\fR`).join(', ');
  const term = value === null ? named : `${named} \\fI${roff(value)}\\fR`;
  return ['.TP', term, line(sentence(description))].join('\n');
}

/** Indented lines are examples and stay as they are, a heading is bold, the rest is text. */
function remarks(text: string): string[] {
  const lines: string[] = [];
  let inExample = false;
  for (const one of text.split('\n')) {
    const isExample = one.startsWith('  ');
    if (isExample !== inExample) lines.push(isExample ? '.RS 4\n.EX' : '.EE\n.RE');
    inExample = isExample;
    if (isExample) lines.push(line(one.slice(2)));
    else if (one === '') lines.push('.PP');
    else lines.push(/^\w+:$/.test(one) ? `.PP\n${line(one)}` : line(one));
  }
  if (inExample) lines.push('.EE\n.RE');
  // A paragraph that a blank line and a heading both begin is one.
  return ['.PP', ...lines]
    .join('\n')
    .replace(/(\.PP\n)+/g, '.PP\n')
    .split('\n');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/** Text that stands on a line of its own: a leading dot or quote would be a request. */
function line(text: string): string {
  return roff(text).replace(/^(['.])/, '\\&$1');
}

/** Text with roff's own characters escaped, minus signs that can be copied, and ASCII only. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\(rs')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('`', '\\(ga')
    .replace(/[^\x20-\x7e\n]/gu, (character) => {
      const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
      return `\\[u${code}]`;
    });
}
