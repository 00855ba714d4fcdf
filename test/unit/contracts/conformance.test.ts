import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { besideFaults } from '../../../schemas/derive/beside.ts';
import { findContracts } from '../../../schemas/derive/render.ts';
import { catalogFaults } from '../../../schemas/derive/rules.ts';
import { catalog as generated } from '../../../schemas/rendered/catalog.ts';
import { render } from '../../../scripts/render.ts';

const root = resolve(import.meta.dirname, '../../..');
const { catalog } = await findContracts(join(root, 'schemas'));

test('every contract keeps the rules of the catalog', () => {
  expect(catalogFaults(catalog)).toEqual([]);
});

test('every source has its payloads and its function, every table its SQL', async () => {
  expect(
    await besideFaults(
      root,
      catalog,
      Object.values(catalog.sources).map(({ arrives }) => arrives.kind),
    ),
  ).toEqual([]);
});

test('rendered files are what the contracts say', async () => {
  expect(await render({ check: true })).toEqual({ changed: [] });
});

test('the generated catalog holds the very contracts that lie in the folders', () => {
  expect(generated).toEqual(catalog);
});
