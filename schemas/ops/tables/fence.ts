import { defineTable } from '../../contract.ts';

export const fence = defineTable({
  about: 'Per domain the last batch that was loaded; every load transaction raises it',
  grain: 'one domain',
  key: ['domain'],
  reads: {},
  columns: {
    domain: { type: 'STRING', required: true, about: 'Domain' },
    sequence: { type: 'INT64', required: true, about: 'Last sequence loaded' },
  },
});
