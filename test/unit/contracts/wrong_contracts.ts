/**
 * Contracts that must not compile: each line after an `@ts-expect-error` is wrong, so the compiler
 * fails here as soon as it accepts one of them.
 */
import { defineSource, defineTable, type RowOf } from '../../../schemas/contract.ts';

const columns = {
  sent_date: { type: 'DATE', required: true, about: 'Day' },
  send_id: { type: 'STRING', required: true, about: 'Send' },
  amount: { type: 'NUMERIC', about: 'Amount' },
  labels: { type: 'STRING', repeated: true, about: 'Labels' },
} as const;

const whole = { about: 'A', grain: 'one', key: ['send_id'], reads: {}, columns } as const;

export const right = defineTable({ ...whole, partition: 'sent_date', cluster: ['send_id'] });

// @ts-expect-error a key names a column
defineTable({ ...whole, key: ['send'] });

// @ts-expect-error a partition names a column
defineTable({ ...whole, partition: 'day' });

// @ts-expect-error a partition is a DATE column
defineTable({ ...whole, partition: 'send_id' });

// @ts-expect-error clustering names columns
defineTable({ ...whole, cluster: ['campaign_id'] });

// @ts-expect-error a touch is one of four forms
defineTable({ ...whole, reads: { 'email.email_events': 'some' } });

// @ts-expect-error BigQuery's DATETIME is not in the vocabulary
defineTable({ ...whole, columns: { ...columns, at: { type: 'DATETIME', about: 'When' } } });

// @ts-expect-error every column has a description
defineTable({ ...whole, columns: { ...columns, at: { type: 'TIMESTAMP' } } });

const source = {
  about: 'A',
  owner: 'marketing',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '0 * * * *',
    object: 'owners',
    full_every_hours: 24,
  },
  records: 'results',
  key: ['id'],
  version: 'observed_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Id' },
    at: { type: 'TIMESTAMP', as: 'epoch_ms', about: 'When' },
    archived: { type: 'BOOL', about: 'Whether it is gone' },
  },
} as const;

export const rightSource = defineSource({ ...source, version: 'at', event_time: 'at' });

// @ts-expect-error a version is an instant
defineSource({ ...source, version: 'id' });

// @ts-expect-error an event's time is an instant
defineSource({ ...source, event_time: 'archived' });

// @ts-expect-error what shows a deletion is a column
defineSource({ ...source, deleted: 'gone' });

// @ts-expect-error a kind brings its own settings
defineSource({ ...source, arrives: { kind: 'hubspot_email_events', schedule: '* * * * *' } });

// @ts-expect-error a decoding is one of the vocabulary's
defineSource({ ...source, columns: { id: { type: 'STRING', as: 'guess', about: 'Id' } } });

export const row: RowOf<typeof right> = {
  sent_date: '2020-03-16',
  send_id: '1',
  amount: '12.30',
  labels: null,
};

// @ts-expect-error a required column is there
export const incomplete: RowOf<typeof right> = { sent_date: '', amount: null, labels: null };

// @ts-expect-error an amount is decimal digits, a float would change it
export const rounded: RowOf<typeof right> = { ...row, amount: 12.3 };
