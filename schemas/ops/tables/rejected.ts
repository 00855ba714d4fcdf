import { defineTable } from '../../contract.ts';

export const rejected = defineTable({
  about: 'Records that broke their contract, with personal data masked',
  grain: 'one refused record of one run',
  key: ['source', 'run', 'record_hash', 'error_code', 'error_column'],
  partition: 'rejected_date',
  cluster: ['source', 'error_code'],
  reads: {},
  columns: {
    rejected_date: { type: 'DATE', required: true, about: 'UTC day of rejected_at' },
    payload: { type: 'STRING', about: 'The record as JSON, personal columns masked' },
    error_code: { type: 'STRING', required: true, about: 'Stable code, such as missing_required' },
    error_message: {
      type: 'STRING',
      required: true,
      about: 'What was wrong; values of personal columns are masked',
    },
    stage: { type: 'STRING', required: true, about: 'Step that refused it, such as conform' },
    run: { type: 'STRING', required: true, about: 'Run that brought it' },
    source: { type: 'STRING', required: true, about: 'Full name of the source' },
    domain: { type: 'STRING', required: true, about: 'Domain of the source' },
    sequence: { type: 'INT64', required: true, about: 'Batch that refused it' },
    error_column: { type: 'STRING', about: 'Column at fault; empty when it is the whole record' },
    record_hash: {
      type: 'STRING',
      required: true,
      about: "SHA-256 of the record's text: finds the raw record in the restricted bucket",
    },
    observed_at: { type: 'TIMESTAMP', about: 'When the record was landed' },
    rejected_at: { type: 'TIMESTAMP', required: true, about: 'When the batch refused it' },
  },
});
