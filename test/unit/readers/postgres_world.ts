/** A PostgreSQL server, tables that a test makes in it, and the reader over them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { postgresDatabase } from '../../../functions/clients/postgres.ts';
import { postgresTable } from '../../../functions/readers/postgres_table.ts';
import type { Page, ReadContext } from '../../../functions/readers/reader.ts';
import type { Window } from '../../../functions/window.ts';
import {
  asAdmin,
  type RunningPostgres,
  startPostgres,
} from '../../../local/outside/postgres/server.ts';
import type {
  PostgresTableArrival,
  SourceColumn,
  SourceContract,
} from '../../../schemas/contract.ts';
import { catalog } from '../../../schemas/rendered/catalog.ts';
import { iso, memoryObjects, readWindow } from './virtual_world.ts';

export type Columns = Readonly<Record<string, Omit<SourceColumn, 'about'>>>;

export const keyed: Columns = {
  id: { type: 'STRING', required: true },
  text: { type: 'STRING' },
  is_deleted: { type: 'BOOL', from: '_deleted' },
};
export const withDeletions = { deleted: 'is_deleted' } as const;

let lastInstant = 0;
/** An instant that no window ended at yet. */
export const now = (): string => {
  lastInstant = Math.max(lastInstant + 1, Date.now());
  return iso(lastInstant);
};
export const full = (to = now()): Window => ({ pass: 'full', from: iso(0), to });
export const changed = (from: string, to = now()): Window => ({ pass: 'changed', from, to });

export interface Seen {
  readonly key: string;
  readonly deleted: boolean;
  /** The row as COPY wrote it, without the key. */
  readonly rest: string;
  readonly at: number;
}

const seenIn = (pages: readonly Page[]): readonly Seen[] =>
  pages.flatMap((page) => {
    if (page.records === 0) return [];
    expect(page.meta['format']).toBe('copy');
    const columns = page.meta['columns'] as readonly string[];
    const lines = page.payload.toString().split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.length).toBe(page.records);
    return lines.map((line) => {
      const [key = '', ...rest] = line.split('\t');
      if (rest.length !== columns.length - 1) throw new Error(`not ${columns.length}: ${line}`);
      const deleted = columns.includes('_deleted');
      return { key, deleted, rest: rest.join('\t'), at: page.askedAt ?? Number.NaN };
    });
  });

/** One server for the tests of a file. */
export function postgresWorld() {
  let folder = '';
  let server: RunningPostgres;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postgres-'));
    server = await startPostgres({ folder });
  }, 60_000);
  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A source that exists only here, with a clock that a test may move. */
  function sourceOf(
    table: string,
    columns: Columns,
    settings: Partial<PostgresTableArrival> = {},
    contract: Partial<SourceContract> = {},
  ) {
    const name = `test.${table.replace(/\W/g, '_').toLowerCase()}`;
    const arrival: PostgresTableArrival = {
      ...{ kind: 'postgres_table', schedule: '*/30 * * * *', database: 'shop', table },
      ...{ primary_key: ['id'], overlap_minutes: 0, full_every_hours: 24, ...settings },
    };
    const whole: SourceContract = {
      ...{ about: 'A table', owner: 'tests', arrives: arrival, records: null, key: ['id'] },
      ...{ version: 'observed_at', bounds: { earliest: '1970-01-01', days_ahead: 2 }, ...contract },
      columns: Object.fromEntries(
        Object.entries(columns).map(([column, read]) => [column, { ...read, about: column }]),
      ),
    };
    (catalog.sources as Record<string, SourceContract>)[name] = whole;
    const clock = { skew: 0, now: () => Date.now() + clock.skew, sleep: async () => undefined };
    const objects = memoryObjects(clock);
    const database = { url: server.url, deadline: Number.MAX_SAFE_INTEGER };
    const world = { clock, objects, postgres: postgresDatabase({ secret: 'shop-database-url' }) };
    const context = (): ReadContext<PostgresTableArrival> => ({
      ...{ world: world as unknown as ReadContext<PostgresTableArrival>['world'], arrival },
      ...{ domain: 'test', source: name.slice('test.'.length), controlBucket: 'control' },
      ...{ baseUrl: '', token: async () => database.url, deadline: database.deadline },
      budget: { take: async () => undefined, learn: () => undefined },
    });
    return { arrival, clock, objects, database, context };
  }

  return {
    get server() {
      return server;
    },
    /** As the administrator. */
    sql: (text: string) => asAdmin(server.adminUrl, (admin) => admin.query(text)),
    sourceOf,
  };
}
export type Source = ReturnType<ReturnType<typeof postgresWorld>['sourceOf']>;

/** Reads a window whole, landing at most `pieces` pages at a time. */
export async function read(
  source: Source,
  window: Window,
  options: { readonly pieces?: number; readonly between?: () => Promise<unknown> } = {},
) {
  const pages: Page[] = [];
  let runs = 0;
  for (let left: Window | null = window; left !== null; runs += 1) {
    if (runs > 0) await options.between?.();
    const piece: Awaited<ReturnType<typeof readWindow>> = await readWindow(
      postgresTable,
      left,
      source.context(),
      options.pieces,
    );
    pages.push(...piece.pages);
    expect(piece.remaining).not.toEqual(left);
    left = piece.remaining;
  }
  return { pages, runs, seen: seenIn(pages) };
}

/** Keys of the rows that are there, and of those that are gone. */
export const keys = (seen: readonly Seen[]): readonly string[] =>
  seen.filter(({ deleted }) => !deleted).map(({ key }) => key);
export const gone = (seen: readonly Seen[]): readonly string[] =>
  seen.filter(({ deleted }) => deleted).map(({ key }) => key);
