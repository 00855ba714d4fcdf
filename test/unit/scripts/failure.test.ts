/** What a person at the terminal reads when something else than a command's own refusal ends it. */
import { expect, test } from 'vitest';
import { Permanent } from '../../../functions/errors.ts';
import { explained, Failure } from '../../../scripts/failure.ts';

test.each<[string, Error, string | RegExp]>([
  ['its own words', new Failure('do this instead'), 'do this instead'],
  ['a stage', new Permanent({ code: 'secret_empty', message: 'no value' }), 'no value'],
  [
    'nobody logged in',
    new Error('Could not load the default credentials. Browse to https://example.com'),
    /^nobody is logged in .*gcloud auth application-default login$/,
  ],
  ['no network', new Error('getaddrinfo ENOTFOUND storage.example'), /^no connection, .*ENOTFOUND/],
  [
    'a refusal of a service',
    Object.assign(new Error('no permission'), { code: 403 }),
    'refused (403): no permission',
  ],
])('one line for %s', (_, error, said) => {
  expect(explained(error)).toMatch(said);
  expect(explained(error)).not.toContain('\n');
});

test('a fault of ours shows its place', () => {
  expect(explained(new TypeError('x is not a function'))).toContain('failure.test.ts');
});
