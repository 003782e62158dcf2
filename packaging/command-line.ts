import type { Command, Option } from 'commander';

/** An option as manual page and completion tell it. */
export interface OptionInfo {
  /** Its names, short one first: `-l`, `--listen`. */
  names: string[];
  /** What its value is called (`address`), or null where it takes none. */
  value: string | null;
  /** Names and value as the help writes them: `-l, --listen <address>`. */
  term: string;
  /** What the help says of it, with choices and default. */
  description: string;
  /** All values that it takes, where they can be counted. */
  choices: readonly string[];
}

/** A command as manual page and completion tell it. */
export interface CommandInfo {
  name: string;
  /** What follows `volley`: `upload [options] <file>`. */
  usage: string;
  description: string;
  options: OptionInfo[];
  /** What its operand is called (`file`), or null where it takes none. */
  operand: string | null;
  /** What its help says after the options: examples and remarks. Empty or whole lines. */
  afterwards: string;
}

/** The whole command line. */
export interface CommandLineInfo {
  version: string;
  description: string;
  options: OptionInfo[];
  commands: CommandInfo[];
}

/** Reads out of commander's definitions what `volley --help` and `volley COMMAND --help` tell. */
export function describeCommandLine(program: Command): CommandLineInfo {
  const help = program.createHelp();
  const isHelp = (command: Command) => command.name() === 'help';
  return {
    version: program.version() ?? '',
    description: program.description(),
    options: optionsOf(program),
    commands: help
      .visibleCommands(program)
      .filter((command) => !isHelp(command))
      .map(describe),
  };
}

function describe(command: Command): CommandInfo {
  return {
    name: command.name(),
    usage: `${command.name()} ${command.usage()}`,
    description: command.description(),
    options: optionsOf(command),
    operand: command.registeredArguments[0]?.name() ?? null,
    afterwards: afterwardsOf(command),
  };
}

function optionsOf(command: Command): OptionInfo[] {
  const help = command.createHelp();
  return help.visibleOptions(command).map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    value: valueNameOf(option),
    term: help.optionTerm(option),
    description: help.optionDescription(option),
    choices: option.argChoices ?? [],
  }));
}

function valueNameOf(option: Option): string | null {
  if (!option.required && !option.optional) return null;
  return /[<[](.+)[>\]]/.exec(option.flags)![1]!;
}

/** What addHelpText() added: all that the help prints beyond what commander makes itself. */
function afterwardsOf(command: Command): string {
  let printed = '';
  const output = command.configureOutput();
  command.configureOutput({
    ...output,
    writeOut: (text) => {
      printed += text;
    },
  });
  command.outputHelp();
  command.configureOutput(output);
  return printed.slice(command.helpInformation().length).trim();
}
