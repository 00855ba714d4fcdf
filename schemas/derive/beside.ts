/**
 * What must lie beside a contract before it is whole: SQL for a table, payloads that pass and fail
 * for a source. Payload files hold what the source sends, byte for byte.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceContract } from '../contract.ts';
import { type Catalog, OPS } from './rules.ts';

/**
 * One sentence per missing or contradicting file, beginning with the contract's full name.
 * @param root the project's folder
 * @param served kinds of arrival that some function takes in
 */
export async function besideFaults(
  root: string,
  catalog: Catalog,
  served: readonly string[],
): Promise<readonly string[]> {
  const faults: string[] = [];
  const read = new Set(Object.values(catalog.tables).flatMap((table) => Object.keys(table.reads)));
  for (const [name, source] of Object.entries(catalog.sources)) {
    if (!read.has(name)) faults.push(`${name}: no table reads it`);
    if (!served.includes(source.arrives.kind)) {
      faults.push(`${name}: no function in functions/settings.ts serves ${source.arrives.kind}`);
    }
    for (const fault of await payloadFaults(root, name, source)) faults.push(`${name}: ${fault}`);
  }
  const sql = new Set<string>();
  for (const name of Object.keys(catalog.tables)) {
    const path = `jobs/sql/${name.replace('.', '/')}.sql`;
    sql.add(path);
    if (name.startsWith(`${OPS}.`)) continue;
    const text = await readFile(join(root, path), 'utf8').catch(() => null);
    if (text === null) faults.push(`${name}: ${path} is missing`);
    else if (text.trim() === '') faults.push(`${name}: ${path} is empty`);
  }
  for (const [domain, { checks }] of Object.entries(catalog.domains)) {
    for (const file of await filesIn(join(root, 'jobs/sql', domain))) {
      const path = `jobs/sql/${domain}/${file}`;
      if (file.endsWith('.sql') && !sql.has(path)) {
        faults.push(`${domain}.${file.slice(0, -'.sql'.length)}: ${path} belongs to no table`);
      }
    }
    const declared = Object.keys(checks ?? {}).map((check) => `${check}.sql`);
    const there = await filesIn(join(root, 'jobs/sql', domain, 'checks'));
    for (const file of declared.filter((file) => !there.includes(file))) {
      faults.push(`${domain}: jobs/sql/${domain}/checks/${file} is missing`);
    }
    for (const file of there.filter((file) => !declared.includes(file))) {
      faults.push(`${domain}: jobs/sql/${domain}/checks/${file} belongs to no check`);
    }
  }
  return faults;
}

async function payloadFaults(
  root: string,
  name: string,
  source: SourceContract,
): Promise<readonly string[]> {
  const faults: string[] = [];
  const folder = `test/cases/${name.replace('.', '/')}`;
  const [pass, fail] = await Promise.all([
    filesIn(join(root, folder, 'pass')),
    filesIn(join(root, folder, 'fail')),
  ]);
  if (pass.length === 0) faults.push(`${folder}/pass holds no payload`);
  if (fail.length === 0) faults.push(`${folder}/fail holds no payload`);
  const seen = new Set<string>();
  for (const file of pass.filter((file) => file.endsWith('.json'))) {
    const path = `${folder}/pass/${file}`;
    const records = recordsIn(await readFile(join(root, path), 'utf8'), source.records);
    if (records === null) {
      faults.push(`${path} is not JSON with its records ${where(source.records)}`);
      continue;
    }
    for (const [column, { required, from }] of readColumns(source)) {
      const present = records.filter((record) => at(record, from) !== undefined);
      if (present.length > 0) seen.add(column);
      if (required && present.length < records.length) {
        faults.push(`${path}: a record lacks the required ${column} (path ${from})`);
      }
    }
  }
  if (pass.length > 0) {
    for (const [column, { from }] of readColumns(source)) {
      if (!seen.has(column)) {
        faults.push(`no payload in ${folder}/pass shows column ${column} (path ${from})`);
      }
    }
  }
  return faults;
}

/** Columns that are read from the payload, with their paths. */
const readColumns = (
  source: SourceContract,
): readonly (readonly [string, { readonly required: boolean; readonly from: string }])[] =>
  Object.entries(source.columns)
    .filter(([, column]) => column.sql === undefined && column.hash_of === undefined)
    .map(([name, column]) => [
      name,
      { required: column.required === true, from: column.from ?? name },
    ]);

const where = (records: string | null) =>
  records === null ? 'as its one object' : `in the array ${records}`;

/** Records of a payload; null when it has none in that place. */
function recordsIn(text: string, records: string | null): readonly unknown[] | null {
  try {
    const payload: unknown = JSON.parse(text);
    const found = records === null ? [payload] : at(payload, records);
    return Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

/** Value at a dotted path; undefined when absent or null. */
function at(value: unknown, path: string): unknown {
  let here: unknown = value;
  for (const name of path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[name];
  }
  return here ?? undefined;
}

/** Names of the files in a folder, sorted; none when it is absent. */
async function filesIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fault;
  }
}
