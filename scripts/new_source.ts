/** `new-source`: a new source's contract with its fixtures, ready to be filled in. */
import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Arrival, ArrivalKind } from '../schemas/contract.ts';
import { Failure } from './failure.ts';

interface Start {
  readonly arrives: Arrival;
  readonly records: string | null;
  /** Paths of the identity and of the instant of the last change in a record. */
  readonly id: { readonly from: string; readonly example: unknown };
  readonly time: { readonly from: string; readonly as: string; readonly example: unknown };
  /** Absent rows come as records with this flag: the newest snapshot counts, not the row's own time. */
  readonly deletions?: true;
}

/** What a source of each kind begins with; the kind's own shape, to be corrected where it differs. */
const starts = {
  hubspot_email_events: {
    arrives: {
      kind: 'hubspot_email_events',
      schedule: '*/10 * * * *',
      settle_minutes: 5,
      again_after_hours: [72, 720],
      first_days: 30,
    },
    records: 'events',
    id: { from: 'id', example: '17d3fcc4-bc34-38b4-9103-69b5896bbdde' },
    time: { from: 'created', as: 'epoch_ms', example: 1584316800000 },
  },
  hubspot_objects: {
    arrives: {
      kind: 'hubspot_objects',
      schedule: '*/30 * * * *',
      object: 'contacts',
      full_every_hours: 24,
    },
    records: 'results',
    id: { from: 'id', example: '51' },
    time: { from: 'updatedAt', as: 'iso', example: '2020-03-16T00:00:00.000Z' },
  },
  pubsub_messages: {
    arrives: { kind: 'pubsub_messages', schedule: '* * * * *', topic: 'things-that-happen' },
    records: null,
    id: { from: 'event_id', example: '7d0c7a3e' },
    time: { from: 'occurred_at', as: 'iso', example: '2020-03-16T00:00:00.000Z' },
  },
  rest_list: {
    arrives: {
      kind: 'rest_list',
      schedule: '*/10 * * * *',
      api: 'orders',
      url: 'https://api.example.com',
      path: '/things',
      auth: 'bearer',
      paging: { by: 'cursor', parameter: 'cursor', at: 'next_cursor' },
      page_size: { parameter: 'limit', records: 500 },
      since: { parameter: 'updated_since', as: 'iso', changed: 'updated_at' },
      overlap_minutes: 10,
      requests_per_minute: 120,
      first_days: 30,
    },
    records: 'things',
    id: { from: 'id', example: '51' },
    time: { from: 'updated_at', as: 'iso', example: '2020-03-16T00:00:00.000Z' },
  },
  postgres_table: {
    arrives: {
      kind: 'postgres_table',
      schedule: '*/30 * * * *',
      database: 'shop',
      table: 'things',
      primary_key: ['id'],
      cursor: 'updated_at',
      overlap_minutes: 10,
      full_every_hours: 24,
    },
    records: null,
    id: { from: 'id', example: '51' },
    time: { from: 'updated_at', as: 'iso', example: '2020-03-16 00:00:00+00' },
    deletions: true,
  },
  uploaded_files: {
    arrives: { kind: 'uploaded_files' },
    records: null,
    id: { from: 'id', example: '51' },
    time: { from: 'updated_at', as: 'iso', example: '2020-03-16T00:00:00.000Z' },
  },
} as const satisfies Record<ArrivalKind, Start>;

const snakeCase = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/**
 * Writes a contract and one payload that passes and one that fails. Descriptions and the owner are
 * left empty: the conformance test names each until it is filled.
 * @returns paths written, from the root
 * @throws Failure when a name is not snake_case or a file is there already; nothing is written then
 */
export async function newSource(source: {
  readonly domain: string;
  readonly name: string;
  readonly kind: ArrivalKind;
  readonly root?: string;
}): Promise<readonly string[]> {
  const { domain, name } = source;
  const root = source.root ?? resolve(import.meta.dirname, '..');
  for (const text of [domain, name]) {
    if (!snakeCase.test(text)) throw new Failure(`${text} is not a snake_case name`);
  }
  const start: Start = starts[source.kind];
  const record = (values: Readonly<Record<string, unknown>>) => {
    const records = start.records === null ? values : { [start.records]: [values] };
    return `${JSON.stringify(records, null, 2)}\n`;
  };
  const contract = `schemas/${domain}/sources/${name}.ts`;
  const files = new Map([
    [contract, contractText(name, start)],
    [
      `test/cases/${domain}/${name}/pass/one_record.json`,
      record({ [start.id.from]: start.id.example, [start.time.from]: start.time.example }),
    ],
    [
      `test/cases/${domain}/${name}/fail/missing_required.json`,
      record({ [start.time.from]: start.time.example }),
    ],
  ]);
  for (const path of files.keys()) {
    if (await exists(join(root, path))) throw new Failure(`${path} is there already`);
  }
  const domainPath = `schemas/${domain}/domain.ts`;
  if (!(await exists(join(root, domainPath)))) files.set(domainPath, domainText(domain));
  for (const [path, text] of files) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text, { flag: 'wx' });
  }
  return [...files.keys()];
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

function contractText(name: string, start: Start): string {
  const { kind, ...settings } = start.arrives;
  const arrives = [['kind', kind], ...Object.entries(settings)]
    .map(([key, value]) => `    ${key}: ${literal(value)},`)
    .join('\n');
  return `import { defineSource } from '../../contract.ts';

export const ${name} = defineSource({
  about: '',
  owner: '',
  arrives: {
${arrives}
  },
  records: ${literal(start.records)},
  key: ['id'],
  version: '${start.deletions ? 'observed_at' : 'updated_at'}',${start.deletions ? "\n  deleted: 'is_deleted'," : ''}
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, from: ${literal(start.id.from)}, about: '' },
    updated_at: {
      type: 'TIMESTAMP',${start.deletions ? '' : '\n      required: true,'}
      from: ${literal(start.time.from)},
      as: ${literal(start.time.as)},
      about: '',
    },${start.deletions ? "\n    is_deleted: { type: 'BOOL', from: '_deleted', about: '' }," : ''}
  },
});
`;
}

const domainText = (domain: string): string => `import { defineDomain } from '../contract.ts';

export const ${domain} = defineDomain({
  about: '',
  longest_wait_minutes: 10,
  start_at_bytes: 64_000_000,
  batch_runs: 100,
  batch_bytes: 1_000_000_000,
  stale_partitions: 10,
  owner: '',
});
`;

/** A value as this project writes it. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'string' ? `'${value}'` : String(value);
  }
  const members = Object.entries(value).map(([name, one]) => `${name}: ${literal(one)}`);
  return `{ ${members.join(', ')} }`;
}

export const declare = (command: Command): void => {
  command
    .argument('<domain>', 'domain, such as commerce')
    .argument('<name>', 'name of the source, such as orders')
    .addOption(
      new Option('--kind <kind>', 'how it comes in')
        .choices(Object.keys(starts))
        .makeOptionMandatory(),
    )
    .addHelpText(
      'after',
      `
Example:
  ./tributary new-source email feedback --kind hubspot_objects`,
    )
    .action(async (domain: string, name: string, { kind }: { readonly kind: ArrivalKind }) => {
      for (const path of await newSource({ domain, name, kind })) console.log(`written  ${path}`);
      console.log(
        'Next: fill in descriptions, owner and columns; add a table in ' +
          `schemas/${domain}/tables/ that reads ${domain}.${name}, and its SQL; then ` +
          './tributary render, and ./tributary test test/unit/contracts names what is missing.',
      );
    });
};

if (import.meta.main) {
  const { main } = await import('./cli.ts');
  // Not awaited: the command line imports this very module, which must have ended by then.
  void main(['new-source', ...process.argv.slice(2)]).then((code) => {
    process.exitCode = code;
  });
}
