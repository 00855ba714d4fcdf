/**
 * The catalog that the handlers see here: the kind of source and the shapes of table that matter to
 * them, small and on short terms, so that a run of a few virtual hours passes through all of them.
 */
import {
  type DomainContract,
  defineDomain,
  defineSource,
  defineTable,
  type SourceContract,
  type TableContract,
} from '../../schemas/contract.ts';
import { ops } from '../../schemas/ops/domain.ts';
import { batches } from '../../schemas/ops/tables/batches.ts';
import { fence } from '../../schemas/ops/tables/fence.ts';
import { freshness } from '../../schemas/ops/tables/freshness.ts';
import { loads } from '../../schemas/ops/tables/loads.ts';
import { quality } from '../../schemas/ops/tables/quality.ts';
import { rejected } from '../../schemas/ops/tables/rejected.ts';
import { runs } from '../../schemas/ops/tables/runs.ts';

const email = defineDomain({
  about: 'Email',
  longest_wait_minutes: 10,
  start_at_bytes: 60_000,
  batch_runs: 12,
  batch_bytes: 100_000,
  stale_partitions: 20,
  owner: 'nobody',
});

const email_events = defineSource({
  about: 'Events',
  owner: 'nobody',
  arrives: {
    kind: 'hubspot_email_events',
    schedule: '*/10 * * * *',
    settle_minutes: 5,
    again_after_hours: [1],
    first_days: 1,
  },
  records: 'events',
  key: ['id', 'created_at'],
  version: 'observed_at',
  event_time: 'created_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    id: { type: 'STRING', required: true, about: 'Id' },
    created_at: {
      type: 'TIMESTAMP',
      required: true,
      from: 'created',
      as: 'epoch_ms',
      about: 'Time',
    },
    type: { type: 'STRING', about: 'Type' },
  },
});

const email_send = defineTable({
  about: 'Sends with their opens, on the day of the send',
  grain: 'one SENT event, not obsoleted',
  key: ['send_id'],
  partition: 'sent_date',
  reads: { 'email.email_events': 'same' },
  columns: {
    sent_date: { type: 'DATE', required: true, about: 'Day of the send' },
    send_id: { type: 'STRING', required: true, about: 'Send' },
    opens: { type: 'INT64', about: 'Opens, whenever they happened' },
    code_version: { type: 'STRING', about: 'Version of the code that computed the row' },
  },
});

const engagement_by_day = defineTable({
  about: 'Events by day and type',
  grain: 'one day and type',
  key: ['event_date', 'event_type'],
  partition: 'event_date',
  reads: { 'email.email_events': 'same' },
  columns: {
    event_date: { type: 'DATE', required: true, about: 'Day of the event' },
    event_type: { type: 'STRING', required: true, about: 'Type' },
    events: { type: 'INT64', about: 'Events' },
    code_version: { type: 'STRING', about: 'Version of the code that computed the row' },
  },
});

/** Stands in for the rendered catalog; it must not import it, for it takes its place. */
export const catalog: {
  readonly domains: Readonly<Record<string, DomainContract>>;
  readonly sources: Readonly<Record<string, SourceContract>>;
  readonly tables: Readonly<Record<string, TableContract>>;
} = {
  domains: { ops, email },
  sources: { 'email.email_events': email_events },
  tables: {
    'ops.batches': batches,
    'ops.fence': fence,
    'ops.freshness': freshness,
    'ops.loads': loads,
    'ops.quality': quality,
    'ops.rejected': rejected,
    'ops.runs': runs,
    'email.email_send': email_send,
    'email.engagement_by_day': engagement_by_day,
  },
};
