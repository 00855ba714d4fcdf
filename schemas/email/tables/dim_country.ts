import { defineTable } from '../../contract.ts';

export const dim_country = defineTable({
  about: 'Countries of ISO 3166-1, and ZZ for those we do not know',
  grain: 'one country',
  key: ['country_code'],
  reads: {},
  columns: {
    country_code: { type: 'STRING', required: true, about: 'ISO 3166-1 alpha-2, ZZ = unknown' },
    country_name: { type: 'STRING', required: true, about: 'English name' },
    alpha_3: { type: 'STRING', about: 'ISO 3166-1 alpha-3' },
  },
});
