import type { List } from '../../contract.ts';

/** Event types that convert; where one has an amount, the member of `props` that holds it. */
export const conversion_types: List = {
  about: "The website editors' choice of what counts as success",
  columns: ['event_type', 'amount_from'],
  rows: [
    ['signup', ''],
    ['sign_up', ''],
    ['register', ''],
    ['subscribe', 'amount'],
    ['purchase', 'amount'],
    ['donate', 'amount'],
  ],
};
