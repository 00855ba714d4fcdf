/** Catalog -> the data dictionary, a page for people. */

import type { Arrival, ColumnType, SourceColumn, TableColumn, Touch } from '../contract.ts';
import { scheduleOf } from '../contract.ts';
import type { Catalog } from './rules.ts';

const meanings = {
  STRING: 'text',
  INT64: 'whole number',
  FLOAT64: 'rate or measure',
  NUMERIC: 'exact decimal',
  BOOL: 'true or false',
  DATE: 'UTC day',
  TIMESTAMP: 'UTC instant',
} as const satisfies Record<ColumnType, string>;

/** Markdown; domains, sources and tables in alphabetical order. */
export function dictionary(catalog: Catalog): string {
  const lines = [
    '# Data dictionary',
    '',
    'Written by `./tributary render` from the contracts in `schemas/`; edit those, not this page.',
    'A full name is `<domain>.<name>`; a table has it in BigQuery too.',
    '',
    '| type | meaning |',
    '|---|---|',
    ...Object.entries(meanings).map(([type, meaning]) => `| ${type} | ${meaning} |`),
  ];
  for (const [domain, declared] of Object.entries(catalog.domains)) {
    lines.push('', `# ${domain}`, '', `${sentence(declared.about)} Owner: ${declared.owner}.`);
    for (const [check, { about, subject, threshold }] of Object.entries(declared.checks ?? {})) {
      const terms = threshold === null ? 'only reported' : `fails above a share of ${threshold}`;
      lines.push('', `Check \`${check}\` of \`${subject}\`: ${sentence(about)} (${terms})`);
    }
    for (const [name, table] of within(catalog.tables, domain)) {
      lines.push(
        '',
        `## ${name}`,
        '',
        `${sentence(table.about)} One row: ${sentence(table.grain)}`,
        '',
        `- key: ${list(table.key)}`,
        `- ${table.partition === undefined ? 'not partitioned: replaced whole' : `partitioned by day of \`${table.partition}\``}`,
      );
      if (table.cluster !== undefined) lines.push(`- clustered by ${list(table.cluster)}`);
      for (const [input, touch] of Object.entries(table.reads)) {
        lines.push(`- reads \`${input}\`; a change there touches ${touched(touch)}`);
      }
      lines.push('', ...columnTable(table.columns));
    }
    for (const [name, source] of within(catalog.sources, domain)) {
      lines.push(
        '',
        `## ${name} (source)`,
        '',
        `${sentence(source.about)} Owner: ${source.owner}.`,
        '',
        `- arrives: ${arrival(source.arrives)}`,
        `- key: ${list(source.key)}; newest \`${source.version}\` wins`,
        ...(source.event_time === undefined ? [] : [`- event time: \`${source.event_time}\``]),
        ...(source.deleted === undefined ? [] : [`- deleted when \`${source.deleted}\` is true`]),
        `- instants before ${source.bounds.earliest} or more than ${source.bounds.days_ahead} days ahead are rejected`,
        '',
        ...columnTable(source.columns),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

const within = <T>(entries: Readonly<Record<string, T>>, domain: string) =>
  Object.entries(entries).filter(([name]) => name.startsWith(`${domain}.`));

const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');

const sentence = (text: string) => (text.endsWith('.') ? text : `${text}.`);

function touched(touch: Touch): string {
  if (touch === 'same') return 'the same day';
  if (touch === 'all') return 'the whole table';
  if (touch === 'ignore') return 'nothing by itself';
  return `the days of \`${touch.days.replaceAll(/\s+/g, ' ').trim()}\``;
}

function arrival(arrives: Arrival): string {
  const schedule = scheduleOf(arrives);
  const rest = Object.entries(arrives)
    .filter(([name]) => name !== 'kind' && name !== 'schedule')
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const kind = `\`${arrives.kind}\`${schedule === null ? '' : ` on \`${schedule}\``}`;
  return [kind, ...rest].join(', ');
}

function columnTable(columns: Readonly<Record<string, SourceColumn | TableColumn>>): string[] {
  return [
    '| column | type | | about |',
    '|---|---|---|---|',
    ...Object.entries(columns).map(([name, column]) => {
      const marks = [column.required && 'required', column.personal && 'personal'].filter(Boolean);
      const type = column.repeated ? `${column.type}, repeated` : column.type;
      return `| ${name} | ${type} | ${marks.join(', ')} | ${column.about.replaceAll('|', '\\|')} |`;
    }),
  ];
}
