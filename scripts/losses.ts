/**
 * What applying a plan would lose, which Terraform's own words do not tell apart: a column that a
 * contract no longer has is dropped under "update in-place", with all that is in it, whatever the
 * table's protection says (provider google, `resourceBigQueryTableColumnDrop`).
 */

interface PlannedChange {
  readonly address: string;
  readonly type: string;
  readonly change: {
    /** `['no-op']`, `['update']`, `['delete']`, `['delete', 'create']` … */
    readonly actions: readonly string[];
    readonly before: Readonly<Record<string, unknown>> | null;
    readonly after: Readonly<Record<string, unknown>> | null;
  };
}

/** Types whose removal takes away what Terraform cannot make again. */
const lost: Readonly<Record<string, string>> = {
  google_bigquery_dataset: 'its grants and tables',
  google_bigquery_table: 'its rows',
  google_pubsub_subscription: 'messages that were not delivered yet',
  google_secret_manager_secret: 'its values',
  google_storage_bucket: 'its objects',
};

/**
 * @param shown what `terraform show -json` prints of a plan
 * @returns one sentence per thing that would be lost
 * @throws Error when it is no plan
 */
export function lossesOf(shown: string): readonly string[] {
  // Warnings may stand around it; the plan itself is one line.
  const line = shown.split('\n').find((text) => text.startsWith('{"format_version"'));
  if (line === undefined) throw new Error(`no plan is shown: ${shown.slice(0, 200)}`);
  const { resource_changes: changes = [] } = JSON.parse(line) as {
    readonly resource_changes?: readonly PlannedChange[];
  };
  return changes.flatMap(({ address, type, change }) => {
    if (change.actions.includes('delete')) {
      const what = lost[type];
      return what === undefined ? [] : [`${address} is removed, with ${what}`];
    }
    if (type !== 'google_bigquery_table' || !change.actions.includes('update')) return [];
    // Not known before the apply: a schema that is only to learn the name of a policy tag.
    if (typeof change.after?.['schema'] !== 'string') return [];
    const stay = new Set(columnsOf(change.after['schema']));
    return columnsOf(change.before?.['schema'])
      .filter((name) => !stay.has(name))
      .map((name) => `${address} loses its column ${name}`);
  });
}

const columnsOf = (schema: unknown): readonly string[] =>
  typeof schema === 'string' && schema !== ''
    ? (JSON.parse(schema) as readonly { readonly name: string }[]).map(({ name }) => name)
    : [];
