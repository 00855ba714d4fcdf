/**
 * Two sources that nobody has thought of, added as docs say: `new-source`, their columns, one table.
 * Nothing else is written, and their records stand in the table: functions, topics, secrets, grants
 * and schedules follow from the contracts. In a copy of the project, started as people start it.
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
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { asAdmin } from '../../local/outside/postgres/server.ts';
import { postgresFolder } from '../../local/outside/stand_ins.ts';
import { root } from '../../scripts/place.ts';

let copy: string;
let data: string;
let cloud: ReturnType<typeof spawn> | undefined;

/** A help desk: two pages, as its API pages them; whoever has no token is told so. */
const desk = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://desk');
  const allowed = request.headers['x-desk-key'] !== undefined;
  const page = Number(url.searchParams.get('page'));
  const tickets = [
    [
      { id: 't1', agent: 'a1', changed: '2026-11-01T10:00:00Z', hours: '1.50' },
      { id: 't2', agent: 'a2', changed: '2026-11-02T10:00:00Z', hours: '0.25' },
    ],
    [{ id: 't3', agent: 'a1', changed: '2026-11-03T10:00:00Z', hours: '2.25' }],
  ][page - 1];
  response.writeHead(allowed ? 200 : 401, { 'content-type': 'application/json' });
  response.end(JSON.stringify(allowed ? { tickets: tickets ?? [] } : { error: 'no key' }));
});

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
  desk.listen(0, '127.0.0.1');
  await once(desk, 'listening');
}, 60_000);

afterAll(async () => {
  desk.close();
  if (cloud !== undefined && cloud.exitCode === null) {
    const gone = once(cloud, 'exit');
    cloud.kill('SIGINT');
    await gone;
  }
  rmSync(copy, { recursive: true, force: true });
}, 60_000);

it('takes a contract, its columns and one table', async () => {
  await tributary('new-source', 'support', 'tickets', '--kind', 'rest_list');
  await tributary('new-source', 'support', 'agents', '--kind', 'postgres_table');
  const { port } = desk.address() as AddressInfo;
  edit(
    'schemas/support/sources/tickets.ts',
    ["about: '',\n  owner: ''", "about: 'What people ask for',\n  owner: 'support'"],
    ["api: 'orders'", "api: 'desk'"],
    ["'https://api.example.com'", `'http://127.0.0.1:${port}'`],
    ["path: '/things'", "path: '/tickets'"],
    ["auth: 'bearer'", "auth: { header: 'x-desk-key' }"],
    [
      "paging: { by: 'cursor', parameter: 'cursor', at: 'next_cursor' }",
      "paging: { by: 'page', parameter: 'page', first: 1 }",
    ],
    ["page_size: { parameter: 'limit', records: 500 },\n", ''],
    ["since: { parameter: 'updated_since', as: 'iso', changed: 'updated_at' },\n", ''],
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
    'schemas/support/sources/agents.ts',
    ["about: '',\n  owner: ''", "about: 'Who answers',\n  owner: 'support'"],
    ["table: 'things'", "table: 'agents'"],
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
  await tributary('render');
  for (const name of ['tickets', 'agents']) {
    const lines = readFileSync(file(`schemas/support/sources/${name}.ts`), 'utf8').split('\n');
    const columns = lines.findIndex((line) => line.startsWith('  columns: {'));
    expect(columns).toBeLessThan(25);
  }
}, 60_000);

it('is all there is to do', { timeout: 300_000 }, async () => {
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

  const secrets = JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8')) as Record<
    string,
    { readonly value: string }
  >;
  const { admin } = JSON.parse(
    readFileSync(join(postgresFolder(data), 'passwords.json'), 'utf8'),
  ) as { readonly admin: string };
  const url = new URL(secrets['shop-database-url']?.value ?? '');
  url.username = 'postgres';
  url.password = admin;
  await asAdmin(url.href, async (database) => {
    await database.query(`CREATE TABLE agents (id text PRIMARY KEY, name text, updated_at timestamptz DEFAULT now());
      INSERT INTO agents VALUES ('a1', 'Ann'), ('a2', 'Ben'), ('a3', 'Cem')`);
  });
  await tributary('pull', 'support.tickets');
  await tributary('pull', 'support.agents');
  await tributary('settle', '--timeout', '240');
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
