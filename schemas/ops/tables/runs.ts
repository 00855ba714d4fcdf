import { defineTable } from '../../contract.ts';

export const runs = defineTable({
  about: 'Every landing of a source, and what became of it',
  grain: 'one run',
  key: ['source', 'run'],
  partition: 'run_date',
  cluster: ['source', 'state'],
  reads: {},
  columns: {
    run_date: { type: 'DATE', required: true, about: 'UTC day of finished_at' },
    run: { type: 'STRING', required: true, about: 'Name of the run' },
    source: { type: 'STRING', required: true, about: 'Full name of the source' },
    window: { type: 'STRING', about: 'What was read: pass, from and to; empty when not a pull' },
    records: { type: 'INT64', about: "Records in the run: Spark's count, until then the reader's" },
    rejected: {
      type: 'INT64',
      about: 'Records of it that broke the contract; empty until counted',
    },
    bytes: { type: 'INT64', about: 'Compressed bytes landed' },
    started_at: { type: 'TIMESTAMP', about: 'When the reading began' },
    finished_at: { type: 'TIMESTAMP', required: true, about: 'When the run manifest was written' },
    state: { type: 'STRING', required: true, about: 'landed, transformed, loaded or failed' },
    error: { type: 'STRING', about: 'Why the run was set aside; empty unless failed' },
    domain: { type: 'STRING', required: true, about: 'Domain of the source' },
    pass: { type: 'STRING', about: 'Pass of the window, such as hot or again-72h' },
    window_from: { type: 'TIMESTAMP', about: 'Begin of the window, inclusive' },
    window_to: { type: 'TIMESTAMP', about: 'End of the window, exclusive' },
    attempt: { type: 'STRING', about: 'The attempt whose files count' },
    files: { type: 'INT64', about: 'Files that count' },
    sequence: { type: 'INT64', about: 'Batch that took the run; empty while it waits' },
  },
});
