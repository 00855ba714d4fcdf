/**
 * HubSpot's CRM and marketing objects through the official client, carried by our own.
 *
 * `@hubspot/api-client` builds the requests and types the answers; `ask` carries them, so that the
 * rate budget, retries, timeouts and the untouched bytes are the same as everywhere (its own
 * transport has none of these, hubspot.md 1.9). Its modules are loaded on first use, one by one:
 * the package's entry loads thousands of files and patches its classes process-wide.
 */
import { Permanent } from '../errors.ts';
import { ask, type HubspotAccess, type HubspotAnswer } from './hubspot.ts';

/** One answer: its bytes, and what a reader must know of it. */
export interface ObjectPage {
  readonly answer: HubspotAnswer;
  readonly request: string;
  readonly results: readonly {
    readonly id: string;
    readonly properties?: Readonly<Record<string, string | null>>;
  }[];
  /** Cursor of the next page; null = this was the last. */
  readonly after: string | null;
}

export interface ListOptions {
  readonly limit: number;
  readonly after: string | null;
  readonly archived: boolean;
}

/** Contacts by id; at most 100 a page. */
export async function listContacts(
  access: HubspotAccess,
  options: ListOptions & { readonly properties: readonly string[] },
): Promise<ObjectPage> {
  const sdk = await import('@hubspot/api-client/lib/codegen/crm/contacts/index.js');
  return carried(access, sdk, (configuration) =>
    new sdk.BasicApi(configuration).getPage(
      options.limit,
      options.after ?? undefined,
      [...options.properties],
      undefined,
      undefined,
      options.archived,
    ),
  );
}

export interface ContactFilter {
  readonly propertyName: 'lastmodifieddate' | 'hs_object_id';
  readonly operator: 'EQ' | 'GT' | 'GTE' | 'LT';
  readonly value: string;
}

/** Contacts that fulfil all filters, by one property ascending; at most 200 a page, never archived. */
export async function searchContacts(
  access: HubspotAccess,
  options: {
    readonly filters: readonly ContactFilter[];
    readonly sort: 'lastmodifieddate' | 'hs_object_id';
    readonly limit: number;
    readonly properties: readonly string[];
  },
): Promise<ObjectPage> {
  const sdk = await import('@hubspot/api-client/lib/codegen/crm/contacts/index.js');
  const operators = {
    EQ: sdk.FilterOperatorEnum.Eq,
    GT: sdk.FilterOperatorEnum.Gt,
    GTE: sdk.FilterOperatorEnum.Gte,
    LT: sdk.FilterOperatorEnum.Lt,
  };
  const filters = options.filters.map((one) => ({ ...one, operator: operators[one.operator] }));
  return carried(access, sdk, (configuration) =>
    new sdk.SearchApi(configuration).doSearch({
      filterGroups: [{ filters }],
      sorts: [options.sort],
      limit: options.limit,
      properties: [...options.properties],
    }),
  );
}

/** Which of at most 100 contacts exist, archived or not. */
export async function contactsThatExist(
  access: HubspotAccess,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const sdk = await import('@hubspot/api-client/lib/codegen/crm/contacts/index.js');
  const found = new Set<string>();
  for (const archived of [false, true]) {
    const page = await carried(access, sdk, (configuration) =>
      new sdk.BatchApi(configuration).read(
        {
          inputs: ids.map((id) => ({ id })),
          properties: ['hs_object_id'],
          propertiesWithHistory: [],
        },
        archived,
      ),
    );
    for (const one of page.results) found.add(one.id);
  }
  return found;
}

/** Owners with their teams; at most 500 a page. */
export async function listOwners(access: HubspotAccess, options: ListOptions): Promise<ObjectPage> {
  const sdk = await import('@hubspot/api-client/lib/codegen/crm/owners/index.js');
  return carried(access, sdk, (configuration) =>
    new sdk.OwnersApi(configuration).getPage(
      undefined,
      options.after ?? undefined,
      options.limit,
      options.archived,
    ),
  );
}

/** Marketing emails; `updatedAfter` (ISO 8601) is exclusive. */
export async function listMarketingEmails(
  access: HubspotAccess,
  options: ListOptions & { readonly updatedAfter: string | null },
): Promise<ObjectPage> {
  const sdk = await import('@hubspot/api-client/lib/codegen/marketing/emails/index.js');
  const nothing = undefined;
  return carried(access, sdk, (configuration) =>
    new sdk.MarketingEmailsApi(configuration).getPage(
      nothing,
      nothing,
      nothing,
      nothing,
      options.updatedAfter === null ? nothing : new Date(options.updatedAfter),
      nothing,
      nothing,
      options.after ?? nothing,
      options.limit,
      nothing,
      nothing,
      nothing,
      nothing,
      nothing,
      nothing,
      nothing,
      options.archived,
    ),
  );
}

/** What the transport needs of a request the official client has built. */
interface BuiltRequest {
  getUrl(): string;
  getHttpMethod(): string;
  getBody(): unknown;
}

/** What every module of the official client has; their classes differ by name only. */
interface Sdk<Request extends BuiltRequest, Response, Library, Configuration> {
  readonly ServerConfiguration: new (url: string, variables: Record<string, string>) => unknown;
  readonly ResponseContext: new (
    status: number,
    headers: Record<string, string>,
    body: { text(): Promise<string>; binary(): Promise<Buffer> },
  ) => Response;
  wrapHttpLibrary(library: { send(request: Request): Promise<Response> }): Library;
  createConfiguration(options: { baseServer: never; httpApi: Library }): Configuration;
}

async function carried<Request extends BuiltRequest, Response, Library, Configuration>(
  access: HubspotAccess,
  sdk: Sdk<Request, Response, Library, Configuration>,
  call: (configuration: Configuration) => Promise<unknown>,
): Promise<ObjectPage> {
  let taken: { readonly answer: HubspotAnswer; readonly request: string } | undefined;
  const httpApi = sdk.wrapHttpLibrary({
    async send(request) {
      const target = request.getUrl().slice(access.baseUrl.length);
      const body = request.getBody();
      const answer = await ask(access, {
        method: request.getHttpMethod() === 'POST' ? 'POST' : 'GET',
        target,
        ...(typeof body === 'string' ? { body } : {}),
      });
      taken = { answer, request: target };
      return new sdk.ResponseContext(
        answer.status,
        { ...answer.headers, 'content-type': 'application/json' },
        {
          text: () => Promise.resolve(answer.body.toString('utf8')),
          binary: () => Promise.resolve(answer.body),
        },
      );
    },
  });
  const baseServer = new sdk.ServerConfiguration(access.baseUrl, {}) as never;
  try {
    await call(sdk.createConfiguration({ baseServer, httpApi }));
  } catch (error) {
    // The official client may dislike a value it does not know; the bytes are here all the same.
    if (taken === undefined) throw error;
  }
  const { answer, request } = taken as NonNullable<typeof taken>;
  // Read from the envelope as it came: the official types leave out what they do not know.
  const { results, paging } = answer.envelope as {
    readonly results?: ObjectPage['results'];
    readonly paging?: { readonly next?: { readonly after?: string } };
  };
  // An answer without its list is no empty list: a comparison would take everybody for deleted.
  if (!Array.isArray(results)) throw shapeChanged(request, 'results', answer.envelope);
  return { answer, request, results, after: paging?.next?.after ?? null };
}

/** A list is missing from an answer with status 200: never read as an empty one. */
export function shapeChanged(
  request: string,
  list: string,
  envelope: Readonly<Record<string, unknown>>,
): Permanent {
  return new Permanent({
    code: 'hubspot_shape',
    message: `${request.split('?')[0]} answered without "${list}", but with ${Object.keys(envelope).join(', ') || 'nothing'}: HubSpot has changed this API, or something between us answers for it`,
  });
}
