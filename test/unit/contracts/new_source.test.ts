import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { besideFaults } from '../../../schemas/derive/beside.ts';
import { findContracts } from '../../../schemas/derive/render.ts';
import { catalogFaults } from '../../../schemas/derive/rules.ts';
import { newSource } from '../../../scripts/new_source.ts';
import { render } from '../../../scripts/render.ts';

const project = resolve(import.meta.dirname, '../../..');
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'new-source-'));
  await cp(join(project, 'schemas/contract.ts'), join(root, 'schemas/contract.ts'));
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
});

afterEach(() => rm(root, { recursive: true, force: true }));

/** What the conformance test would say. A copy per look: a module is read once per path. */
async function faults(): Promise<readonly string[]> {
  const copy = await mkdtemp(join(tmpdir(), 'new-source-'));
  try {
    await cp(root, copy, { recursive: true });
    const { catalog } = await findContracts(join(copy, 'schemas'));
    return [
      ...catalogFaults(catalog),
      ...(await besideFaults(copy, catalog, ['hubspot_email_events', 'hubspot_objects'])),
    ];
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

async function fill(path: string, edits: readonly (readonly [string, string])[]): Promise<void> {
  let text = await readFile(join(root, path), 'utf8');
  for (const [from, to] of edits) text = text.replace(from, to);
  await writeFile(join(root, path), text);
}

test('a new source says what it still lacks until it is whole', async () => {
  expect(
    await newSource({ root, domain: 'support', name: 'tickets', kind: 'hubspot_objects' }),
  ).toEqual([
    'schemas/support/sources/tickets.ts',
    'test/cases/support/tickets/pass/one_record.json',
    'test/cases/support/tickets/fail/missing_required.json',
    'schemas/support/domain.ts',
  ]);
  expect(await faults()).toEqual([
    'support: has no description',
    'support: has no owner',
    'support.tickets: has no description',
    'support.tickets: column id has no description of one line',
    'support.tickets: column updated_at has no description of one line',
    'support.tickets: has no owner',
    'support.tickets: no table reads it',
  ]);

  await fill('schemas/support/domain.ts', [
    ["about: ''", "about: 'What people ask us'"],
    ["owner: ''", "owner: 'support'"],
  ]);
  const contract = 'schemas/support/sources/tickets.ts';
  await fill(contract, [
    ["about: ''", "about: 'Tickets'"],
    ["owner: ''", "owner: 'support'"],
    ["about: ''", "about: 'Ticket'"],
    ["about: ''", "about: 'Last change'"],
    [
      '  columns: {',
      "  columns: {\n    subject: { type: 'STRING', from: 'properties.subject', about: 'Subject' },",
    ],
  ]);
  await write(
    'schemas/support/tables/ticket.ts',
    `import { defineTable } from '../../contract.ts';
export const ticket = defineTable({
  about: 'Tickets', grain: 'one ticket', key: ['id'], reads: { 'support.tickets': 'all' },
  columns: { id: { type: 'STRING', required: true, about: 'Ticket' } },
});`,
  );
  expect(await faults()).toEqual([
    'support.tickets: no payload in test/cases/support/tickets/pass shows column subject (path properties.subject)',
    'support.ticket: jobs/sql/support/ticket.sql is missing',
  ]);

  await write(
    'test/cases/support/tickets/pass/with_subject.json',
    '{"results":[{"id":"1","updatedAt":"2020-03-16T00:00:00Z","properties":{"subject":"x"}}]}',
  );
  await write('jobs/sql/support/ticket.sql', 'SELECT id FROM support.tickets');
  expect(await faults()).toEqual([]);

  await rm(join(root, 'test/cases/support/tickets/fail'), { recursive: true });
  await write('test/cases/support/tickets/pass/broken.json', '{"results":');
  await write('test/cases/support/tickets/pass/no_id.json', '{"results":[{"updatedAt":"x"}]}');
  await write('jobs/sql/support/old.sql', 'SELECT 1');
  expect(await faults()).toEqual([
    'support.tickets: test/cases/support/tickets/fail holds no payload',
    'support.tickets: test/cases/support/tickets/pass/broken.json is not JSON with its records in the array results',
    'support.tickets: test/cases/support/tickets/pass/no_id.json: a record lacks the required id (path id)',
    'support.old: jobs/sql/support/old.sql belongs to no table',
  ]);
});

test('every kind of source can be begun, rendered once it is described, and never overwritten', async () => {
  for (const kind of ['hubspot_email_events', 'hubspot_objects'] as const) {
    const source = { root, domain: 'support', name: kind, kind };
    await newSource(source);
    await expect(newSource(source)).rejects.toThrow(
      `schemas/support/sources/${kind}.ts is there already`,
    );
    for (const path of [`schemas/support/sources/${kind}.ts`, 'schemas/support/domain.ts']) {
      const text = await readFile(join(root, path), 'utf8');
      await writeFile(join(root, path), text.replaceAll("''", "'described'"));
    }
  }
  expect((await render({ check: false, root })).changed).toEqual([
    'schemas/rendered/support/domain.json',
    'schemas/rendered/support/hubspot_email_events.json',
    'schemas/rendered/support/hubspot_objects.json',
    'schemas/rendered/catalog.ts',
    'docs/data-dictionary.md',
  ]);
  await expect(
    newSource({ root, domain: 'support', name: 'Bad-Name', kind: 'hubspot_objects' }),
  ).rejects.toThrow('Bad-Name is not a snake_case name');
});
