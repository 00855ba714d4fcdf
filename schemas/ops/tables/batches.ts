import { defineTable } from '../../contract.ts';

export const batches = defineTable({
  about: 'Every batch of a domain, from its claim to its manifest',
  grain: 'one batch: domain and sequence, with its last attempt',
  key: ['domain', 'sequence'],
  partition: 'batch_date',
  cluster: ['domain', 'state'],
  reads: {},
  columns: {
    batch_date: {
      type: 'DATE',
      required: true,
      about: 'UTC day of finished_at, of the claim while it is in flight',
    },
    batch: { type: 'STRING', required: true, about: 'domain-sequence-attempt' },
    domain: { type: 'STRING', required: true, about: 'Domain' },
    sequence: { type: 'INT64', required: true, about: 'Number of the batch in its domain' },
    attempt: { type: 'INT64', required: true, about: 'Attempt that finished, or the latest one' },
    state: {
      type: 'STRING',
      required: true,
      about: 'in_flight, transformed, loaded or failed',
    },
    runs: { type: 'INT64', about: 'Runs it took' },
    recomputes: { type: 'INT64', about: "Operators' requests it took" },
    records: { type: 'INT64', about: 'Records found in its runs' },
    rejected: { type: 'INT64', about: 'Records of them that broke their contract' },
    tables: { type: 'INT64', about: 'Tables it changed' },
    partitions: { type: 'INT64', about: 'Partitions it replaced, whole tables left out' },
    rows: { type: 'INT64', about: 'Rows it wrote' },
    stale_left: { type: 'INT64', about: 'Partitions still stale after it' },
    code_version: { type: 'STRING', about: 'Version of the code that ran' },
    started_at: { type: 'TIMESTAMP', about: 'When the job began' },
    finished_at: { type: 'TIMESTAMP', about: 'When the batch manifest was written' },
    seconds: { type: 'STRING', about: 'Seconds by step, a JSON object' },
    error: { type: 'STRING', about: 'Why the last attempt gave up; empty unless one did' },
  },
});
