/**
 * Sources that nobody has thought of, added as docs say: `new-source`, their columns, tables.
 * Nothing else is written, and their records stand in the tables: functions, topics, secrets, grants
 * and schedules follow from the contracts. In a copy of the project, started as people start it.
 * Then what they read moves all the time while it is pulled; at rest both sides are equal.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCheckpoint, stepCheckpoint } from '../../functions/checkpoint.ts';
import { isPulled } from '../../functions/settings.ts';
import { asAdmin } from '../../local/outside/postgres/server.ts';
import { postgresFolder } from '../../local/outside/stand_ins.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { root } from '../../scripts/place.ts';
import { openTarget, type Target } from '../../scripts/target.ts';
import { tick } from '../../scripts/tick.ts';
import { agentsSum, createAgents, ourSum, startWriters } from './busy_agents.ts';
import { type MovingDesk, startDesk } from './moving_desk.ts';

let copy: string;
let data: string;
let desk: MovingDesk;
let cloud: ReturnType<typeof spawn> | undefined;
let target: Target;
/** Of PostgreSQL, for whoever writes there. */
let admin: string;

const tributary = async (...words: readonly string[]): Promise<string> => {
  const cli = join(copy, 'scripts/cli.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [cli, ...words], {
    cwd: copy,
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none' },
  });
  return stdout;
};

const file = (path: string): string => join(copy, path);

function edit(path: string, ...changes: readonly (readonly [string, string])[]): void {
  let text = readFileSync(file(path), 'utf8');
  for (const [from, to] of changes) {
    expect(text, path).toContain(from);
    text = text.replace(from, to);
  }
  writeFileSync(file(path), text);
}

function write(path: string, text: string): void {
  mkdirSync(dirname(file(path)), { recursive: true });
  writeFileSync(file(path), text);
}

beforeAll(async () => {
  copy = mkdtempSync(join(tmpdir(), 'added-source-'));
  data = join(copy, '.local/cloud');
  const aside = ['.git', '.local', '.tools', 'cdktf.out', 'dist', 'node_modules', 'test'];
  for (const name of readdirSync(root).filter((one) => !aside.includes(one))) {
    cpSync(join(root, name), file(name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), file('node_modules'));
  // Spark's tools as they are: a stamp of this place's own, so that nothing is installed anew.
  mkdirSync(file('.tools'));
  for (const name of ['venv', 'jars'])
    symlinkSync(join(root, '.tools', name), file(`.tools/${name}`));
  const stamp = readFileSync(join(root, '.tools/spark-stamp'), 'utf8');
  writeFileSync(file('.tools/spark-stamp'), stamp.replace(root, copy));
  desk = await startDesk();
}, 60_000);

afterAll(async () => {
  desk?.close();
  if (cloud !== undefined && cloud.exitCode === null) {
    const gone = once(cloud, 'exit');
    cloud.kill('SIGINT');
    await gone;
  }
  rmSync(copy, { recursive: true, force: true });
}, 60_000);

it('takes contracts, their columns and tables', async () => {
  await tributary('new-source', 'support', 'tickets', '--kind', 'rest_list');
  await tributary('new-source', 'support', 'calls', '--kind', 'rest_list');
  await tributary('new-source', 'support', 'agents', '--kind', 'postgres_table');
  edit(
    'schemas/support/sources/tickets.ts',
    ["about: '',\n  owner: ''", "about: 'What people ask for',\n  owner: 'support'"],
    ["api: 'orders'", "api: 'desk'"],
    ["'https://api.example.com'", `'${desk.url}'`],
    ["path: '/things'", "path: '/tickets'"],
    ["auth: 'bearer'", "auth: { header: 'x-desk-key' }"],
    [
      "paging: { by: 'cursor', parameter: 'cursor', at: 'next_cursor' }",
      "paging: { by: 'page', parameter: 'page', first: 1 }",
    ],
    ["page_size: { parameter: 'limit', records: 500 },\n", ''],
    ["since: { parameter: 'updated_since', as: 'iso', changed: 'updated_at' },\n", ''],
    ['requests_per_minute: 120', 'requests_per_minute: 60_000'],
    ["records: 'things'", "records: 'tickets'"],
    ["from: 'id', about: ''", "from: 'id', about: 'Ticket'"],
    [
      "from: 'updated_at',\n      as: 'iso',\n      about: ''",
      "from: 'changed',\n      as: 'iso',\n      about: 'When it changed'",
    ],
    [
      '  },\n});',
      "    agent: { type: 'STRING', about: 'Who answers' },\n    hours: { type: 'NUMERIC', about: 'Time it took' },\n  },\n});",
    ],
  );
  edit(
    'schemas/support/sources/calls.ts',
    ["about: '',\n  owner: ''", "about: 'Who called',\n  owner: 'support'"],
    ["api: 'orders'", "api: 'desk'"],
    ["'https://api.example.com'", `'${desk.url}'`],
    ["path: '/things'", "path: '/calls'"],
    ["auth: 'bearer'", "auth: { header: 'x-desk-key' }"],
    ['records: 500', 'records: 4'],
    // Each pull is the only one that reads what changed since the one before.
    ['overlap_minutes: 10', 'overlap_minutes: 0'],
    ['requests_per_minute: 120', 'requests_per_minute: 60_000'],
    ["records: 'things'", "records: 'calls'"],
    ["from: 'id', about: ''", "from: 'id', about: 'Call'"],
    ["as: 'iso',\n      about: ''", "as: 'iso',\n      about: 'When it changed'"],
    [
      '  },\n});',
      "    agent: { type: 'STRING', about: 'Who answered' },\n    minutes: { type: 'INT64', about: 'Time it took' },\n  },\n});",
    ],
  );
  edit(
    'schemas/support/sources/agents.ts',
    ["about: '',\n  owner: ''", "about: 'Who answers',\n  owner: 'support'"],
    ["table: 'things'", "table: 'agents'"],
    // What is committed late has to be found by what transactions did, not by looking back for long.
    ['overlap_minutes: 10', 'overlap_minutes: 0'],
    ["from: 'id', about: ''", "from: 'id', about: 'Agent'"],
    ["as: 'iso',\n      about: ''", "as: 'iso',\n      about: 'When it changed'"],
    ["from: '_deleted', about: ''", "from: '_deleted', about: 'Gone'"],
    ['  },\n});', "    name: { type: 'STRING', about: 'Name' },\n  },\n});"],
  );
  edit(
    'schemas/support/domain.ts',
    ["about: ''", "about: 'Help'"],
    ["owner: ''", "owner: 'support'"],
  );
  write(
    'schemas/support/tables/hours_by_agent.ts',
    `import { defineTable } from '../../contract.ts';

export const hours_by_agent = defineTable({
  about: 'Time that answers took',
  grain: 'one agent',
  key: ['agent'],
  reads: { 'support.tickets': 'all', 'support.agents': 'all' },
  columns: {
    agent: { type: 'STRING', required: true, about: 'Name' },
    tickets: { type: 'INT64', required: true, about: 'Tickets' },
    hours: { type: 'NUMERIC', about: 'Hours' },
  },
});
`,
  );
  write(
    'jobs/sql/support/hours_by_agent.sql',
    `SELECT a.name AS agent, count(*) AS tickets, CAST(sum(t.hours) AS DECIMAL(38, 9)) AS hours
FROM tickets t JOIN agents a ON a.id = t.agent WHERE NOT coalesce(a.is_deleted, false) GROUP BY a.name
`,
  );
  write(
    'schemas/support/tables/newest.ts',
    `import { defineTable } from '../../contract.ts';

export const newest = defineTable({
  about: 'All that has come in, as it was last seen',
  grain: 'one ticket, call or agent',
  key: ['kind', 'id'],
  reads: { 'support.tickets': 'all', 'support.calls': 'all', 'support.agents': 'all' },
  columns: {
    kind: { type: 'STRING', required: true, about: 'ticket, call or agent' },
    id: { type: 'STRING', required: true, about: 'As sent' },
    name: { type: 'STRING', about: 'Of an agent, else which one' },
    amount: { type: 'NUMERIC', about: 'Time it took' },
    changed_at: { type: 'TIMESTAMP', about: 'When it changed' },
    is_gone: { type: 'BOOL', required: true, about: 'Deleted' },
  },
});
`,
  );
  write(
    'jobs/sql/support/newest.sql',
    `SELECT 'ticket' AS kind, id, agent AS name, hours AS amount, updated_at AS changed_at,
  false AS is_gone FROM tickets
UNION ALL SELECT 'call', id, agent, CAST(minutes AS DECIMAL(38, 9)), updated_at, false FROM calls
UNION ALL SELECT 'agent', id, name, NULL, updated_at, coalesce(is_deleted, false) FROM agents
`,
  );
  await tributary('render');
  for (const name of ['tickets', 'calls', 'agents']) {
    const lines = readFileSync(file(`schemas/support/sources/${name}.ts`), 'utf8').split('\n');
    const columns = lines.findIndex((line) => line.startsWith('  columns: {'));
    expect(columns).toBeLessThan(25);
  }
}, 300_000);

/**
 * Sources of the project itself count as pulled: where a batch takes minutes, a sweep looks for what
 * was lost, and would have everything pulled that never was.
 */
async function leaveOthersAlone(): Promise<void> {
  const edges = { full: new Date().toISOString() };
  for (const [name, { arrives }] of Object.entries(catalog.sources)) {
    if (!isPulled(arrives)) continue;
    const [domain = '', source = ''] = name.split('.');
    const { control } = target.config.buckets;
    await stepCheckpoint(target.world, control, domain, source, (held) => ({ ...held, edges }));
  }
}

it('is all there is to do', { timeout: 600_000 }, async () => {
  cloud = spawn(
    process.execPath,
    [file('scripts/cli.ts'), 'local', '--quiet-schedules', '--data', data],
    {
      cwd: copy,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, METADATA_SERVER_DETECTION: 'none' },
    },
  );
  const said: string[] = [];
  cloud.stderr?.on('data', (bytes: Buffer) => said.push(bytes.toString()));
  const ended = once(cloud, 'exit').then(() => Promise.reject(new Error(said.join(''))));
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: cloud?.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (line === 'ready') resolve();
    });
  });
  await Promise.race([ready, ended]);
  ended.catch(() => {});
  target = await openTarget({ data });
  await leaveOthersAlone();

  const secrets = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8')) as Record<
    string,
    { readonly value: string }
  >;
  const passwords = JSON.parse(
    readFileSync(join(postgresFolder(data), 'passwords.json'), 'utf8'),
  ) as { readonly admin: string };
  const url = new URL(secrets['shop-database-url']?.value ?? '');
  url.username = 'postgres';
  url.password = passwords.admin;
  admin = url.href;
  await createAgents(admin);
  await tributary('pull', 'support.tickets');
  await tributary('pull', 'support.calls');
  await tributary('pull', 'support.agents');
  await tributary('settle', '--timeout', '540');
  const rows = await tributary(
    'query',
    'SELECT * EXCEPT (updated_at) FROM support.hours_by_agent ORDER BY agent',
    '--format',
    'json',
  );
  expect(JSON.parse(rows)).toEqual([
    { agent: 'Ann', tickets: 2, hours: '3.75' },
    { agent: 'Ben', tickets: 1, hours: '0.25' },
  ]);
});

/** Fires schedules, and waits until what they asked for has been read and landed. */
async function pulled(sources: readonly string[] = ['agents', 'calls', 'tickets']): Promise<void> {
  const { control } = target.config.buckets;
  const look = (source: string) => readCheckpoint(target.world, control, 'support', source);
  const before = await Promise.all(sources.map(look));
  await tick(
    target,
    sources.map((source) => `pull-support-${source}`),
  );
  await expect
    .poll(
      async () => {
        const now = await Promise.all(sources.map(look));
        return now.map(({ edges, open, lease, trouble }, n) => ({
          begun: JSON.stringify(edges) !== JSON.stringify(before[n]?.edges),
          ...{ open, lease, trouble },
        }));
      },
      { interval: 50, timeout: 120_000 },
    )
    .toEqual(sources.map(() => ({ begun: true, open: [], lease: null, trouble: null })));
}

/** The next pull finds the last full compare a day ago, after which it makes another. */
async function aDayPasses(): Promise<void> {
  const { control } = target.config.buckets;
  await stepCheckpoint(target.world, control, 'support', 'agents', (held) => {
    const full = new Date(Date.parse(held.edges['full'] ?? '') - 24 * 3_600_000).toISOString();
    return { ...held, edges: { ...held.edges, full } };
  });
}

const rowsOf = (sql: string) => target.world.warehouse.rows(sql);

it('misses nothing of sources that move while they are read', { timeout: 600_000 }, async () => {
  const sql = (text: string) => asAdmin(admin, (database) => database.query(text));
  const late = new Client(admin);
  await late.connect();
  const writers = startWriters(admin);
  let during = 0;
  const pull = async (): Promise<void> => {
    desk.open(6);
    const before = writers.ended();
    await pulled();
    during += writers.ended() - before;
    writers.letGo();
  };
  desk.open(20);
  desk.move(true);
  try {
    await late.query("BEGIN; INSERT INTO agents VALUES ('late', 'Eve')");
    await sql(`INSERT INTO agents VALUES ('brief', 'Fay');
      DELETE FROM agents WHERE id IN ('gone', 'a3')`);
    await pull();
    await sql(`DELETE FROM agents WHERE id = 'brief'; INSERT INTO agents VALUES ('never', 'Gil');
      DELETE FROM agents WHERE id = 'never'`);
    await aDayPasses();
    await pull();
    // Told as deleted, and there again.
    await sql(`INSERT INTO agents VALUES ('a3', 'Cem again');
      UPDATE agents SET name = 'Bea', updated_at = now() WHERE id = 'a2'`);
    await pull();
    await late.query('COMMIT');
    await pull();
    // Only the changes of that one pull, far behind the time that they tell, hold this row.
    await sql("DELETE FROM agents WHERE id = 'late'");
    await aDayPasses();
    await pull();
    await pull();
  } finally {
    desk.move(false);
    await late.end();
    await writers.stop();
  }
  const last = desk.calls().at(-1)?.updated_at ?? '';
  await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(last));
  await pulled();
  await aDayPasses();
  await pulled(['agents']);
  await tributary('settle', '--timeout', '540');
  expect(during).toBeGreaterThan(6);
  expect(desk.moves().tickets).toBe(24);
  expect(desk.moves().calls).toBeGreaterThanOrEqual(6);

  expect(await rowsOf(ourSum)).toEqual([await agentsSum(admin)]);
  expect(
    await rowsOf(`SELECT id, name, is_gone FROM support.newest
      WHERE kind = 'agent' AND id NOT LIKE 'row%' ORDER BY id`),
  ).toEqual([
    { id: 'a1', name: 'Ann', is_gone: false },
    { id: 'a2', name: 'Bea', is_gone: false },
    { id: 'a3', name: 'Cem again', is_gone: false },
    ...['brief', 'gone', 'late'].map((id) => ({ id, name: null, is_gone: true })),
  ]);
  const newestOf = (kind: string) =>
    rowsOf(`SELECT id, name, CAST(amount AS FLOAT64) AS amount, UNIX_MILLIS(changed_at) AS changed
      FROM support.newest WHERE kind = '${kind}' ORDER BY changed_at`);
  expect(await newestOf('ticket')).toEqual(
    desk
      .tickets()
      .toReversed()
      .map(({ id, agent, hours, changed }) => ({
        ...{ id, name: agent, amount: Number(hours), changed: Date.parse(changed) },
      })),
  );
  expect(await newestOf('call')).toEqual(
    desk.calls().map(({ id, agent, minutes, updated_at }) => ({
      ...{ id, name: agent, amount: minutes, changed: Date.parse(updated_at) },
    })),
  );
});
