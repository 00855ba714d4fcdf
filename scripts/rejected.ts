/** Shows records that broke their contract, with personal data masked. */
import type { Command } from 'commander';
import { runQuery } from './query.ts';
import { openTarget, sourceNamed, type TargetOptions, withTarget } from './target.ts';

interface RejectedOptions extends TargetOptions {
  readonly code?: string;
  readonly limit: string;
  readonly json: boolean;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('[source]', 'full name of a source; without it all')
    .option('--code <code>', 'only this error code, such as missing_required')
    .option('--limit <records>', 'at most this many, newest first', '50')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Raw records lie in the restricted bucket; record_hash finds them there. When the contract or the
source is mended, ./tributary replay rejected SOURCE runs them through again.

Examples:
  ./tributary rejected
  ./tributary rejected email.email_events --code unreadable`,
    )
    .action(async (source: string | undefined, options: RejectedOptions) => {
      if (source !== undefined) sourceNamed(source);
      const { config } = await openTarget(options);
      const conditions = [
        ...(source === undefined ? [] : ['source = @source']),
        ...(options.code === undefined ? [] : ['error_code = @code']),
      ];
      const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
      await runQuery(
        {
          sql: `SELECT rejected_at, source, run, error_code, error_column, error_message, record_hash, payload
FROM ops.rejected ${where} ORDER BY rejected_at DESC, source, record_hash LIMIT ${Number(options.limit) || 50}`,
          params: [
            ...(source === undefined ? [] : [`source:STRING:${source}`]),
            ...(options.code === undefined ? [] : [`code:STRING:${options.code}`]),
          ],
          format: options.json ? 'json' : 'table',
        },
        {
          projectId: config.project,
          location: config.location,
          ...(config.endpoints.bigquery === undefined
            ? {}
            : { apiEndpoint: config.endpoints.bigquery }),
        },
        (text) => process.stdout.write(text),
      );
    });
}
