/** The shop's tables: made, and filled from given rows. */
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import { asAdmin } from './server.ts';

export interface ProductRow {
  readonly product_id: string;
  readonly product_name: string | null;
  readonly category: string | null;
  /** Decimal digits. */
  readonly price: string | null;
  /** `YYYY-MM-DD` */
  readonly date: string | null;
}

export interface UserRow {
  readonly user_id: string;
  readonly user_name: string | null;
  /** `YYYY-MM-DD` */
  readonly date: string | null;
  readonly email?: string | null;
  readonly country?: string | null;
}

export interface ShopRows {
  readonly products: Iterable<ProductRow>;
  readonly users: Iterable<UserRow>;
}

const columns = {
  products: ['product_id', 'product_name', 'category', 'price', 'date'],
  users: ['user_id', 'user_name', 'date', 'email', 'country'],
} as const;

const tables = `
  CREATE TABLE IF NOT EXISTS products (
    product_id text PRIMARY KEY,
    product_name text,
    category text,
    price numeric(12, 2),
    date date,
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS users (
    user_id text PRIMARY KEY,
    user_name text,
    date date,
    email text,
    country text,
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS products_by_change ON products (updated_at, product_id);
  CREATE INDEX IF NOT EXISTS users_by_change ON users (updated_at, user_id);
  CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    NEW.updated_at := now();
    RETURN NEW;
  END $$;
  CREATE OR REPLACE TRIGGER touch BEFORE INSERT OR UPDATE ON products
    FOR EACH ROW EXECUTE FUNCTION touch();
  CREATE OR REPLACE TRIGGER touch BEFORE INSERT OR UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION touch();`;

/**
 * Makes the tables where they are missing, and brings these rows in: new ones are inserted, those
 * that differ updated, equal ones left untouched, others kept. One transaction.
 */
export async function fillShop(adminUrl: string, rows: ShopRows): Promise<void> {
  await asAdmin(adminUrl, async (admin) => {
    await admin.query('BEGIN');
    await admin.query(tables);
    for (const table of ['products', 'users'] as const) {
      const names = columns[table];
      const [key] = names;
      await admin.query(
        `CREATE TEMP TABLE given ON COMMIT DROP AS SELECT ${names.join(', ')} FROM ${table} LIMIT 0`,
      );
      const into = admin.query(copyFrom(`COPY given (${names.join(', ')}) FROM STDIN`));
      await pipeline(lines(rows[table], names), into);
      const tuple = (of: string): string => `(${names.map((name) => `${of}.${name}`).join(', ')})`;
      await admin.query(
        `INSERT INTO ${table} AS there (${names.join(', ')}) SELECT ${names.join(', ')} FROM given
         ON CONFLICT (${key}) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')}
         WHERE ${tuple('there')} IS DISTINCT FROM ${tuple('excluded')}`,
      );
      await admin.query('DROP TABLE given');
    }
    await admin.query('COMMIT');
  });
}

/** COPY's text format, some rows at a time. */
function* lines(rows: Iterable<ProductRow | UserRow>, names: readonly string[]): Generator<Buffer> {
  let text = '';
  for (const row of rows) {
    const values = row as unknown as Readonly<Record<string, string | null | undefined>>;
    text += `${names.map((name) => field(values[name] ?? null)).join('\t')}\n`;
    if (text.length >= 65_536) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

const field = (value: string | null): string =>
  value === null ? '\\N' : value.replace(/[\\\n\r\t]/g, (sign) => escapes[sign] as string);
