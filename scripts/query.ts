/**
 * `query`: GoogleSQL through the official client, locally or deployed. Rows arrive as BigQuery sends them and are shown as
 * text by the schema, so that nothing is rounded on the way: INT64 and NUMERIC keep all their digits.
 */
import { readFileSync } from 'node:fs';
import type { Job, JobOptions } from '@google-cloud/bigquery';
import { type Command, Option } from 'commander';
import { bigqueryClient } from '../functions/clients/warehouse.ts';
import { Failure } from './failure.ts';
import { say } from './progress.ts';
import { csv, json, type Shape, table } from './rows.ts';
import { openTarget, type TargetOptions, withTarget } from './target.ts';

export type Format = 'table' | 'json' | 'csv';

export interface QueryTarget {
  /** Another server than Google's, e.g. the local one. */
  readonly apiEndpoint?: string;
  readonly projectId: string;
  readonly location: string;
}

export interface QueryRequest {
  readonly sql: string;
  /** `name:TYPE:value`; an empty type is STRING, `ARRAY<T>` takes a JSON array, the value NULL is NULL. */
  readonly params?: readonly string[];
  readonly format?: Format;
}

export interface QueryOutcome {
  readonly rows: number;
  /** Of a DML statement: how many rows it changed. */
  readonly changed: number | undefined;
}

const PAGE_ROWS = 5_000;

/** Runs a query and writes its rows. @throws Failure that shows the place in the SQL */
export async function runQuery(
  request: QueryRequest,
  target: QueryTarget,
  write: (text: string) => void,
): Promise<QueryOutcome> {
  const { sql, params = [], format = 'table' } = request;
  if (sql.trim() === '') throw new Failure('the query is empty; give SQL in quotes or --file');
  const queryParameters = params.map(parameter);
  const client = await bigqueryClient(target);
  try {
    const query = {
      query: sql,
      useLegacySql: false,
      ...(queryParameters.length > 0 && { parameterMode: 'NAMED', queryParameters }),
    };
    const options = { location: target.location, configuration: { query } } as JobOptions;
    const [job] = (await client.createJob(options)) as readonly [Job, unknown];
    const shown = { table, json, csv }[format](write);
    let rows = 0;
    let pageToken: string | undefined;
    let answer: Page;
    do {
      const paging = {
        autoPaginate: false,
        skipParsing: true,
        maxResults: PAGE_ROWS,
        ...(pageToken !== undefined && { pageToken }),
      };
      const [page, , response] = (await job.getQueryResults(paging)) as unknown as [
        readonly Row[],
        unknown,
        Page,
      ];
      answer = response;
      const schema = answer.schema?.fields ?? [];
      shown.rows(
        schema,
        page.map(({ f }) => f.map(({ v }) => v)),
      );
      rows += page.length;
      pageToken = answer.pageToken;
    } while (pageToken !== undefined && pageToken !== '');
    const changed =
      answer.numDmlAffectedRows === undefined ? undefined : Number(answer.numDmlAffectedRows);
    if (changed === undefined) shown.end();
    return { rows, changed };
  } catch (error) {
    throw failure(error, sql);
  }
}

interface Row {
  readonly f: readonly { readonly v: unknown }[];
}

interface Page {
  readonly schema?: { readonly fields?: readonly Shape[] };
  readonly pageToken?: string;
  readonly numDmlAffectedRows?: string;
}

const SCALARS = new Set(['STRING', 'INT64', 'FLOAT64', 'NUMERIC', 'BOOL', 'DATE', 'TIMESTAMP']);

/** One `--param` as the REST API wants it. */
function parameter(text: string): unknown {
  const match = /^([A-Za-z_]\w*):([^:]*):([\s\S]*)$/.exec(text);
  if (match === null)
    throw new Failure(`--param ${text} is not name:TYPE:value, e.g. since:DATE:2026-01-01`);
  const [, name = '', given = '', value = ''] = match;
  const type = given === '' ? 'STRING' : given.toUpperCase();
  const element = /^ARRAY<(\w+)>$/.exec(type)?.[1];
  if (!SCALARS.has(element ?? type))
    throw new Failure(`--param ${name}: ${given} is none of ${[...SCALARS].join(', ')}, ARRAY<…>`);
  if (element === undefined)
    return { name, parameterType: { type }, parameterValue: value === 'NULL' ? {} : { value } };
  const items = array(name, value);
  return {
    name,
    parameterType: { type: 'ARRAY', arrayType: { type: element } },
    parameterValue: { arrayValues: items.map((item) => ({ value: String(item) })) },
  };
}

function array(name: string, text: string): readonly unknown[] {
  try {
    const items: unknown = JSON.parse(text);
    if (
      Array.isArray(items) &&
      items.every((item) => ['string', 'number', 'boolean'].includes(typeof item))
    )
      return items;
  } catch {
    // The same sentence for both.
  }
  throw new Failure(`--param ${name}: ${text} is not a JSON array of values, e.g. ["a", "b"]`);
}

/** BigQuery's sentence, and under it the line of the SQL that it means. */
function failure(error: unknown, sql: string): Error {
  if (error instanceof Failure || !(error instanceof Error))
    return error instanceof Error ? error : new Failure(String(error));
  const { code, errors } = error as { code?: unknown; errors?: readonly { message?: string }[] };
  if (errors?.[0] === undefined && typeof code !== 'number') return error;
  const message = errors?.[0]?.message ?? error.message;
  const place = /\[(\d+):(\d+)\]/.exec(message);
  const line = place === null ? undefined : sql.split('\n')[Number(place[1]) - 1];
  const column = Number(place?.[2] ?? 1);
  const pointed =
    line === undefined ? '' : `\n  ${line.replaceAll('\t', ' ')}\n  ${' '.repeat(column - 1)}^`;
  return new Failure(`${message}${pointed}`, { cause: error });
}

interface QueryOptions extends TargetOptions {
  readonly file?: string;
  readonly param: readonly string[];
  readonly format?: Format;
  readonly json: boolean;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('[sql]', 'GoogleSQL; dataset names need no project')
    .option('--file <file>', 'read the SQL from a file, - for standard input')
    .option('--param <name:TYPE:value>', 'a query parameter, @name in the SQL', collected, [])
    .addOption(new Option('--format <format>', 'of the rows').choices(['table', 'json', 'csv']))
    .option('--json', 'the same as --format json', false)
    .addHelpText(
      'after',
      `
Examples:
  ./tributary query 'SELECT campaign_id, sent, open_rate FROM email.campaign_performance'
  ./tributary query --param 'day:DATE:2020-03-16' \\
      'SELECT count(*) FROM email.email_send WHERE sent_date = @day'
  ./tributary query --file report.sql --format csv > report.csv`,
    )
    .action(async (words: string | undefined, options: QueryOptions) => {
      if ((words === undefined) === (options.file === undefined)) {
        throw new Failure('give the SQL in quotes, or --file, one of the two');
      }
      const sql = words ?? sqlOf(options.file ?? '-');
      const { config } = await openTarget(options);
      const { project: projectId, location, endpoints } = config;
      const { rows, changed } = await runQuery(
        { sql, params: options.param, format: options.format ?? (options.json ? 'json' : 'table') },
        {
          projectId,
          location,
          ...(endpoints.bigquery === undefined ? {} : { apiEndpoint: endpoints.bigquery }),
        },
        (text) => process.stdout.write(text),
      );
      say(changed === undefined ? `${rows} rows` : `${changed} rows changed`);
    });
}

const collected = (value: string, before: readonly string[]): readonly string[] => [
  ...before,
  value,
];

function sqlOf(file: string): string {
  try {
    // 0 is standard input.
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${(error as Error).message}`);
  }
}
