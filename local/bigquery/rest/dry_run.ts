/** A dry run: what a query would read, and the columns of its answer. */
import type { JobConfiguration } from '../configuration.ts';
import { parse } from '../parse/parse.ts';
import { isDml } from '../parse/script.ts';
import { Refusal, refusalOf } from '../refusal.ts';
import { type TranslatedQuery, translateDml } from '../translate/translate.ts';
import { schemaOf } from './pages.ts';
import { isSelect, translated } from './selects.ts';
import type { Service } from './service.ts';
import { queryParameters } from './wire.ts';

export async function dryRun(
  configuration: JobConfiguration,
  location: string,
  service: Service,
): Promise<unknown> {
  const { query } = configuration;
  if (query === undefined) throw new Refusal('invalid', 'Only a query can be run dry');
  let uses: TranslatedQuery['uses'];
  let columns: TranslatedQuery['columns'] = [];
  if (isSelect(query)) ({ uses, columns } = translated(configuration, service));
  else {
    const only = parse(query.query);
    if (only.length > 1 || !isDml(only[0]))
      throw new Refusal('invalidQuery', 'A dry run of a script is not supported locally', 'query');
    try {
      ({ uses } = translateDml(
        only[0],
        service.store.translateOptions({
          nowMicros: 0n,
          parameters: queryParameters(query.queryParameters ?? []),
          defaultDataset: query.defaultDataset?.datasetId,
        }),
      ));
    } catch (error) {
      throw refusalOf(error, query.query);
    }
  }
  const bytes = `${await service.store.bytes(uses)}`;
  return {
    kind: 'bigquery#job',
    jobReference: { projectId: service.projectId, location },
    configuration,
    status: { state: 'DONE' },
    statistics: {
      totalBytesProcessed: bytes,
      query: {
        totalBytesProcessed: bytes,
        totalBytesBilled: '0',
        cacheHit: false,
        schema: schemaOf(columns),
      },
    },
  };
}
