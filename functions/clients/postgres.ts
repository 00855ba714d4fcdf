/**
 * PostgreSQL (13 or newer), read only: one connection, one repeatable-read transaction. Values come
 * as the text PostgreSQL writes, under settings that make it the same everywhere and lose nothing.
 *
 * The role needs no more than
 *
 *   CREATE ROLE tributary_reader LOGIN PASSWORD '...';
 *   GRANT CONNECT ON DATABASE shop TO tributary_reader;
 *   GRANT USAGE ON SCHEMA public TO tributary_reader;
 *   GRANT SELECT ON products, users TO tributary_reader;
 *
 * and, to be spared a look at every row for late commits on busy databases (postgres_table.ts),
 *
 *   GRANT pg_read_all_stats TO tributary_reader;
 */
import type { Client, ClientConfig } from 'pg';
import { Permanent, Transient } from '../errors.ts';
import type { Postgres, PostgresSession } from '../world.ts';

const CONNECT_MS = 10_000;
/** One chunk of a table, sent as fast as it is landed. */
const STATEMENT_MS = 5 * 60_000;
/** Behind somebody who is changing the table's shape. */
const LOCK_MS = 10_000;
/** Between two chunks, while the last one is landed. */
const IDLE_MS = 2 * 60_000;

/** Local to the transaction, so that a pooler may give the connection to others afterwards. */
const BEGIN = `BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ;
SET LOCAL statement_timeout = ${STATEMENT_MS};
SET LOCAL lock_timeout = ${LOCK_MS};
SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS};
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL TimeZone = 'UTC';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 3;
SET LOCAL xmlbinary = 'base64';
SET LOCAL standard_conforming_strings = on;
SET LOCAL row_security = off`;

/**
 * @param options.secret name of the secret that holds the connection URL, for messages: they never
 *   show the URL itself
 */
export function postgresDatabase(options: { readonly secret: string }): Postgres {
  const { secret } = options;
  return {
    async session(url, work) {
      const config = configOf(url, secret);
      // Read on first use: most functions never speak to a database.
      const { Client } = (await import('pg')).default;
      const client = clientOf(Client, config, secret);
      // A connection that breaks while nobody asks would end the process; the next question tells.
      client.on('error', () => undefined);
      const state = { broken: false };
      try {
        await client.connect();
        await client.query(BEGIN);
        return await work(sessionOf(client, secret, state));
      } catch (error) {
        throw told(error, secret);
      } finally {
        await end(client, state.broken);
      }
    },
  };
}

function sessionOf(client: Client, secret: string, state: { broken: boolean }): PostgresSession {
  return {
    async query(sql, values = []) {
      try {
        const { rows } = await client.query({ text: sql, values: [...values], types: asText });
        return rows as readonly Readonly<Record<string, string | null>>[];
      } catch (error) {
        throw told(error, secret);
      }
    },
    async *copy(sql) {
      const { to } = await import('pg-copy-streams');
      const stream = client.query(to(sql));
      let whole = false;
      try {
        for await (const bytes of stream) yield bytes as Buffer;
        whole = true;
      } catch (error) {
        throw told(error, secret);
      } finally {
        // Left before its end: the rest is still on its way, and nothing else can be asked.
        if (!whole) state.broken = true;
      }
    },
  };
}

const asText = { getTypeParser: () => (value: string) => value };

/** Nothing was written, so there is nothing to commit and a failing farewell says nothing. */
async function end(client: Client, broken: boolean): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } })
    .connection;
  if (broken) return stream.destroy();
  const patience = setTimeout(() => stream.destroy(), CONNECT_MS);
  await client.end().catch(() => undefined);
  clearTimeout(patience);
}

/** Without the cause: it can hold the URL. */
function clientOf(
  make: new (config: ClientConfig) => Client,
  config: ClientConfig,
  secret: string,
): Client {
  try {
    return new make(config);
  } catch {
    throw wrongUrl(
      secret,
      'cannot be read: signs such as # / ? @ : in the password are written as %23 and so on, and files that it names have to be there',
    );
  }
}

const wrongUrl = (secret: string, fault: string): Permanent =>
  new Permanent({
    code: 'database_url',
    message: `the secret ${secret} ${fault}; its value has the form postgresql://role:password@host:5432/database?sslmode=verify-full`,
  });

/** Terms of the connection; TLS as libpq reads `sslmode`. */
function configOf(url: string, secret: string): ClientConfig {
  const refuse = (fault: string): Permanent => wrongUrl(secret, fault);
  if (!/^postgres(ql)?:\/\//.test(url)) throw refuse('holds no connection URL of PostgreSQL');
  const [address = '', query = ''] = url.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  const host = parameters.get('host') ?? /^[^/]*\/\/(?:.*@)?(\[[^\]]*\]|[^:/]*)/.exec(address)?.[1];
  const sslmode = parameters.get('sslmode');
  const here = host === undefined || host.startsWith('/') || /^(localhost|127\.|\[?::1)/.test(host);
  if (sslmode === null && !here) {
    throw refuse(
      'names no sslmode: verify-full, verify-ca or require encrypt, disable is for private networks',
    );
  }
  if (sslmode !== null && !sslModes.includes(sslmode)) {
    throw refuse(`names an unknown sslmode; there are ${sslModes.join(', ')}`);
  }
  if (sslmode !== null) parameters.set('uselibpqcompat', 'true');
  return {
    connectionString: `${address}?${parameters}`,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    application_name: 'tributary',
  };
}

/** `allow` and `prefer` would fall back to an open connection unnoticed. */
const sslModes: readonly string[] = ['disable', 'require', 'verify-ca', 'verify-full'];

/** Whether trying again is of any use, by SQLSTATE (PostgreSQL's appendix A) or by the network's code. */
function told(error: unknown, secret: string): Transient | Permanent {
  if (error instanceof Transient || error instanceof Permanent) return error;
  const { code = '', message } = error as Error & { readonly code?: string };
  const permanent = (name: string, text: string): Permanent =>
    new Permanent({ code: name, message: text });
  const transient = (name: string, text: string): Transient =>
    new Transient({ code: name, message: text });
  if (/^28/.test(code)) {
    return permanent(
      'database_refused',
      `the database lets nobody in with the secret ${secret} (${message}); put the role's present password into a new version of that secret`,
    );
  }
  if (code === '42501') {
    return permanent(
      'database_refused',
      `the role of the secret ${secret} may not read everything (${message}); grant it SELECT, and BYPASSRLS where rows are guarded`,
    );
  }
  if (['3D000', '3F000', '42P01', '42703', '42704'].includes(code)) {
    return permanent(
      'database_missing',
      `the database of the secret ${secret} lacks what the contract names: ${message}`,
    );
  }
  if (code === '22P05' || code === '22021') {
    return permanent(
      'database_encoding',
      `a text of the database of the secret ${secret} is none in UTF-8 (${message}); correct it there, for rows behind it cannot be read before`,
    );
  }
  if (/^(42|22|0A)/.test(code)) {
    return permanent('database_query', `the database does not take our question: ${message}`);
  }
  if (code === '57014' || code === '55P03') {
    return transient('database_timeout', `the database gave up on our question: ${message}`);
  }
  if (cutOff.has(code)) {
    return transient(
      'database_unreachable',
      `the connection of the secret ${secret} did not hold (${code}): ${message}`,
    );
  }
  if (tlsFaults.test(code) || /SSL|TLS|certificate/i.test(message)) {
    return permanent(
      'database_tls',
      `no trusted connection with the terms of the secret ${secret}: ${message}; see sslmode and sslrootcert`,
    );
  }
  if (message.startsWith('SASL:') || message.includes('password must be a string')) {
    return permanent(
      'database_refused',
      `the secret ${secret} does not fit the database's way of asking for a password (${message})`,
    );
  }
  return transient(
    'database_unreachable',
    `the connection of the secret ${secret} did not hold${code === '' ? '' : ` (${code})`}: ${message}`,
  );
}

/** A connection that ends while it is made secure speaks of TLS, too. */
const cutOff: ReadonlySet<string> = new Set(['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT']);

const tlsFaults = /CERT|SELF_SIGNED|^UNABLE_TO|^ERR_(TLS|SSL)/;
