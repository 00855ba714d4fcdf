/** The command line: one file per command beside this one, loaded when its command is given. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { explained, Failure } from './failure.ts';

/** What a command's file exports: its arguments, options, examples and action. */
export type Declare = (command: Command) => void;

interface Entry {
  readonly about: string;
  readonly load: () => Promise<{ readonly declare: Declare }>;
}

/** In the order of the help page: run it, look into it, correct it, work on it. */
export const commands: Readonly<Record<string, Entry>> = {
  demo: {
    about: 'start the local cloud, fill it, and show what arrives in the tables',
    load: () => import('./demo.ts'),
  },
  local: { about: 'start the local cloud and stay', load: () => import('./local.ts') },
  tick: { about: 'fire schedules now', load: () => import('./tick.ts') },
  settle: {
    about: 'start what waits and wait until everything has arrived',
    load: () => import('./settle.ts'),
  },
  status: {
    about: 'sources with checkpoints and lag, batches, rejected, dead letters',
    load: () => import('./status.ts'),
  },
  query: { about: 'ask the tables in GoogleSQL', load: () => import('./query.ts') },
  pull: { about: 'pull a source now, or a range of it again', load: () => import('./pull.ts') },
  publish: { about: 'publish lines of a file to a topic', load: () => import('./publish.ts') },
  upload: { about: 'put files into the inbox', load: () => import('./upload.ts') },
  simulate: {
    about: 'publish realistic behavior with planted facts',
    load: () => import('./simulate.ts'),
  },
  funnel: {
    about: 'who did each step after the one before, and how long it took',
    load: () => import('./funnel.ts'),
  },
  rejected: { about: 'records that broke their contract', load: () => import('./rejected.ts') },
  replay: { about: 'run kept data through again', load: () => import('./replay.ts') },
  recompute: {
    about: 'have partitions of a table computed again',
    load: () => import('./recompute.ts'),
  },
  render: { about: 'contracts to files', load: () => import('./render.ts') },
  synth: { about: 'infrastructure to cdktf.out', load: () => import('./synth.ts') },
  deploy: { about: 'build on Google Cloud', load: () => import('./deploy.ts') },
  doctor: {
    about: 'what this machine and this configuration have and lack',
    load: () => import('./doctor.ts'),
  },
  'new-source': {
    about: 'write a new contract with its fixtures',
    load: () => import('./new_source.ts'),
  },
  setup: {
    about: 'install Python packages and Spark jars now, not with the first use',
    load: () => import('./setup.ts'),
  },
  check: { about: 'types, lint, rendered files, unit tests', load: () => import('./check.ts') },
  test: { about: 'all tests, or those under a path', load: () => import('./test.ts') },
  bench: { about: 'measure what the README claims', load: () => import('./bench.ts') },
};

/** The command a line names: its first word that is not an option (or follows `help`). */
function named(words: readonly string[]): string | undefined {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  return first === 'help' ? second : first;
}

/** Without the defaults that say nothing: a flag that is not given, a list that is empty. */
function optionDescription(option: Option): string {
  const { defaultValue } = option;
  const isEmpty = typeof defaultValue === 'object' && Object.keys(defaultValue ?? {}).length === 0;
  if (defaultValue === false || isEmpty) return option.description;
  return new Help().optionDescription(option);
}

/** Reads a command line and runs it. @returns the exit code */
export async function main(words: readonly string[]): Promise<number> {
  const program = new Command('tributary')
    .description('Marketing, shop and website data into BigQuery tables that people can trust')
    .showSuggestionAfterError()
    .configureHelp({ optionDescription })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  ./tributary demo                          see the whole path run, nothing needed beforehand
  ./tributary local                         the local cloud, until Ctrl-C
  ./tributary query 'SELECT count(*) FROM email.email_send'
  ./tributary status --env prod             the same commands, on a deployed environment
  ./tributary help settle                   options and examples of one command`,
    );
  const chosen = named(words);
  for (const [name, entry] of Object.entries(commands)) {
    const command = program.command(name).description(entry.about);
    // Only the chosen command's file is read: the others' clients would cost seconds to load.
    if (name === chosen) (await entry.load()).declare(command);
  }
  if (words.length === 0) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Commander has said it already: help was asked for, or the line was wrong.
    if (error instanceof CommanderError) return error.exitCode;
    process.stderr.write(`tributary: ${explained(error)}\n`);
    return error instanceof Failure ? error.exitCode : 1;
  }
}

if (import.meta.main) {
  // Whoever reads us, such as `head`, may have seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  process.exitCode = await main(process.argv.slice(2));
}
