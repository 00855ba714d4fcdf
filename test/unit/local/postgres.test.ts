import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asAdmin, startPostgres } from '../../../local/outside/postgres/server.ts';
import { fillShop } from '../../../local/outside/postgres/shop.ts';

const root = resolve(import.meta.dirname, '../../..');
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postgres-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const products = [
  {
    product_id: 'p1',
    product_name: 'Kettle\t"1.7 l"',
    category: 'Kitchen',
    price: '34.90',
    date: '2026-01-02',
  },
  { product_id: 'p2', product_name: 'Tea\\pot\n', category: null, price: null, date: null },
];
const users = [{ user_id: 'u1', user_name: 'Mia', date: '2026-01-03', email: 'mia@example.org' }];
const ask = (url: string, sql: string) =>
  asAdmin(url, async (client) => (await client.query(sql)).rows as readonly unknown[]);

test('the shop is filled, filled again with what differs, and survives a restart', async () => {
  const first = await startPostgres({ folder });
  try {
    await fillShop(first.adminUrl, { products, users });
    const before = await ask(first.url, 'SELECT * FROM products ORDER BY product_id');
    expect(before).toMatchObject([
      { product_id: 'p1', product_name: 'Kettle\t"1.7 l"', price: '34.90' },
      { product_id: 'p2', product_name: 'Tea\\pot\n', category: null, price: null, date: null },
    ]);
    const cheaper = products.map((row) =>
      row.product_id === 'p2' ? { ...row, price: '3.00' } : row,
    );
    await fillShop(first.adminUrl, { products: cheaper, users });
    const after = (await ask(
      first.url,
      'SELECT * FROM products ORDER BY product_id',
    )) as typeof before;
    expect(after[0]).toEqual(before[0]);
    const changedAt = (row: unknown) => (row as { readonly updated_at: Date }).updated_at.getTime();
    expect(after[1]).toMatchObject({ price: '3.00' });
    expect(changedAt(after[1])).toBeGreaterThan(changedAt(before[1]));
    await expect(ask(first.url, "DELETE FROM products WHERE product_id = 'p1'")).rejects.toThrow(
      /read-only/,
    );
    await expect(ask(first.url, 'BEGIN READ WRITE; DELETE FROM users')).rejects.toThrow(
      /permission denied for table users/,
    );
  } finally {
    await first.close();
  }
  const second = await startPostgres({ folder });
  try {
    expect(await ask(second.url, 'SELECT user_id, email, country FROM users')).toEqual([
      { user_id: 'u1', email: 'mia@example.org', country: null },
    ]);
  } finally {
    await second.close();
  }
}, 60_000);

test('the next start ends a server whose parent was killed, and minds no number left behind', async () => {
  const script = `import { startPostgres } from ${JSON.stringify(join(root, 'local/outside/postgres/server.ts'))};
    const { adminUrl } = await startPostgres({ folder: ${JSON.stringify(folder)} });
    console.log(adminUrl);`;
  const life = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [adminUrl] = (await once(createInterface(life.stdout), 'line')) as [string];
  await ask(adminUrl, 'CREATE TABLE kept AS SELECT 1 AS n');
  life.kill('SIGKILL');
  await once(life, 'exit');
  const pidFile = join(folder, 'data/postmaster.pid');
  const orphan = Number((await readFile(pidFile, 'utf8')).split('\n')[0]);
  expect(process.kill(orphan, 0)).toBe(true);
  const second = await startPostgres({ folder });
  await expect(ask(adminUrl, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
  expect(await ask(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  await second.close();
  // A number that is another process's by now: this one's.
  await writeFile(pidFile, `${process.pid}\n${join(folder, 'data')}\n0\n0\n\n127.0.0.1\n\nready\n`);
  const third = await startPostgres({ folder });
  expect(await ask(third.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  await third.close();
}, 60_000);
