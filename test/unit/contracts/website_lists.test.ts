import { expect, test } from 'vitest';
import { channel_rules } from '../../../schemas/website/lists/channel_rules.ts';
import { conversion_types } from '../../../schemas/website/lists/conversion_types.ts';

// Spark looks a value up: a second row for it would double events, or stop the batch.
test('no channel rule and no conversion type is listed twice', () => {
  const rules = channel_rules.rows.map(([signal, value]) => `${signal} ${value}`);
  expect(rules.filter((rule, at) => rules.indexOf(rule) !== at)).toEqual([]);
  const types = conversion_types.rows.map(([type]) => type);
  expect(new Set(types).size).toBe(types.length);
});

test('signals are those that the rules are looked up by, values as they are compared', () => {
  const signals = ['utm_medium', 'utm_source', 'referrer_host', 'referrer_name', 'own_host'];
  for (const [signal = '', value = '', channel = ''] of channel_rules.rows) {
    expect(signals).toContain(signal);
    expect(value).toMatch(signal.startsWith('utm') ? /^[a-z0-9_]+$/ : /^[a-z0-9.-]+$/);
    expect(value).not.toMatch(/^www\./);
    expect(channel === '').toBe(signal === 'own_host');
  }
  for (const [type = ''] of conversion_types.rows) expect(type).toBe(type.toLowerCase().trim());
});
