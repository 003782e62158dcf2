import type { CommandInfo, CommandLineInfo, OptionInfo } from './command-line.js';

/** Values worth offering for options that take others as well. */
const COMMON_VALUES: Readonly<Record<string, readonly string[]>> = {
  '--fabric': ['auto', 'off', 'verbs', 'net', 'tcp'],
  '--local': ['auto', 'off'],
  '--log-format': ['auto', 'json', 'text'],
  '--log-level': ['silent', 'error', 'warn', 'info', 'debug', 'trace'],
  '--tls-min-version': ['1.2', '1.3'],
  '--tls-verify': ['none', 'request', 'require'],
};
/** What values and operands are called that are files. */
const FILE_NAMES: ReadonlySet<string> = new Set(['file', 'path']);

/**
 * A completion for bash: commands, options, values that can be counted, files. It needs nothing but bash, and can be
 * sourced or put where bash-completion looks.
 */
export function bashCompletion({ options, commands }: CommandLineInfo): string {
  const names = commands.map(({ name }) => name);
  return `# bash completion for volley(1)                                  -*- shell-script -*-
# Made from the command's own definitions: see packaging/bash-completion.ts.

_volley_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_volley_files() {
  mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
  compopt -o filenames 2>/dev/null
}

_volley() {
  local cur=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} command= word
  # --option=value is three words to bash.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in ${[...names, 'help'].join(' | ')})
      command=$word
      break
      ;;
    esac
  done

  case $command:$previous in
${commands.flatMap(({ name, options: own }) => own.flatMap((option) => valueCase(name, option))).join('\n')}
  esac

  case $command in
${commands.map(commandCase).join('\n')}
    help) _volley_words '${names.join(' ')}' ;;
    *) _volley_words '${[...names, 'help', ...optionNames(options)].join(' ')}' ;;
  esac
}

complete -F _volley volley
`;
}

/** What completes the value of an option; the case ends there, for nothing else may follow the option. */
function valueCase(command: string, option: OptionInfo): string[] {
  if (option.value === null) return [];
  const pattern = option.names.map((name) => `${command}:${name}`).join(' | ');
  const values = [...option.choices, ...option.names.flatMap((name) => COMMON_VALUES[name] ?? [])];
  const steps: string[] = [];
  if (values.length > 0) steps.push(`_volley_words '${values.join(' ')}'`);
  if (FILE_NAMES.has(option.value)) steps.push('_volley_files');
  return [`    ${[`${pattern})`, ...steps.map((step) => `${step};`), 'return'].join(' ')} ;;`];
}

function commandCase({ name, options, operand }: CommandInfo): string {
  const operands = operand !== null && FILE_NAMES.has(operand) ? '[[ $cur == -* ]] || _volley_files' : ':';
  return `    ${name}) _volley_words '${optionNames(options).join(' ')}'; ${operands} ;;`;
}

function optionNames(options: readonly OptionInfo[]): string[] {
  return options.flatMap(({ names }) => names);
}
