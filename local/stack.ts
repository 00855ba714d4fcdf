/**
 * Reads a synthesised stack and resolves its references, as Terraform would after an apply.
 * References are plain attributes (`${google_pubsub_topic.runs.id}`); anything else is an error.
 */
import { readFileSync } from 'node:fs';

export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [name: string]: Value };
export type Properties = Readonly<Record<string, Value>>;

/** The stack holds something the local cloud does not know: it says which resource and what. */
export class Unknown extends Error {
  override readonly name = 'Unknown';
}

export interface Resource {
  readonly type: string;
  readonly id: string;
  /** References resolved, without Terraform's own arguments. */
  readonly properties: Properties;
}

export interface Stack {
  readonly project: string;
  readonly region: string;
  readonly resources: readonly Resource[];
}

/** What only exists once something runs. */
export interface Outputs {
  /** URL of a function by its name. */
  functionUri(name: string): string;
  /** Resources of the type are not started, so their attributes need not be known. */
  isWithoutEffect(type: string): boolean;
}

interface StackFile {
  readonly provider: { readonly google: readonly { project: string; region: string }[] };
  readonly resource: Readonly<Record<string, Readonly<Record<string, Properties>>>>;
  readonly data?: Readonly<Record<string, Readonly<Record<string, Properties>>>>;
  readonly [section: string]: unknown;
}

/** Any number does: nothing outside this machine hears of it. */
const PROJECT_NUMBER = '123456789012';

const SECTIONS = ['//', 'data', 'provider', 'resource', 'terraform'];

/** Arguments that order or guard an apply; here everything is started at once. */
const ARGUMENTS_OF_TERRAFORM = ['//', 'depends_on', 'lifecycle', 'provider', 'timeouts'];

type Attribute = (of: Properties, stack: { project: string; region: string }) => string;

const email = (of: Properties, { project }: { project: string }): string =>
  `${of['account_id']}@${of['project'] ?? project}.iam.gserviceaccount.com`;

/** Attributes that Google computes, by type; declared ones are read from the resource itself. */
const computed: Readonly<Record<string, Readonly<Record<string, Attribute>>>> = {
  google_project: { number: () => PROJECT_NUMBER },
  google_storage_project_service_account: {
    member: () => `serviceAccount:${storageAgent}`,
    email_address: () => storageAgent,
  },
  google_service_account: {
    email,
    member: (of, stack) => `serviceAccount:${email(of, stack)}`,
    name: (of, stack) =>
      `projects/${of['project'] ?? stack.project}/serviceAccounts/${email(of, stack)}`,
  },
  google_pubsub_topic: { id: (of, { project }) => `projects/${project}/topics/${of['name']}` },
  google_pubsub_subscription: {
    id: (of, { project }) => `projects/${project}/subscriptions/${of['name']}`,
  },
  google_project_iam_custom_role: {
    name: (of, { project }) => `projects/${of['project'] ?? project}/roles/${of['role_id']}`,
    id: (of, { project }) => `projects/${of['project'] ?? project}/roles/${of['role_id']}`,
  },
  google_compute_network: {
    id: (of, { project }) => `projects/${of['project'] ?? project}/global/networks/${of['name']}`,
  },
  google_compute_subnetwork: {
    id: (of, { project, region }) =>
      `projects/${of['project'] ?? project}/regions/${region}/subnetworks/${of['name']}`,
  },
  google_artifact_registry_repository: {
    id: (of, { project }) =>
      `projects/${project}/locations/${of['location']}/repositories/${of['repository_id']}`,
    name: (of) => String(of['repository_id']),
  },
  google_secret_manager_secret: {
    id: (of, { project }) => `projects/${project}/secrets/${of['secret_id']}`,
    name: (of, { project }) => `projects/${project}/secrets/${of['secret_id']}`,
  },
  google_storage_bucket_object: { output_name: (of) => String(of['name']) },
  google_bigquery_dataset: {
    id: (of, { project }) => `projects/${project}/datasets/${of['dataset_id']}`,
  },
};

export const storageAgent = `service-${PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com`;
export const pubsubAgent = `service-${PROJECT_NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com`;

/** Reads `cdk.tf.json`. @throws Unknown for a section or a reference that cannot be resolved */
export function readStack(file: string, outputs: Outputs): Stack {
  const json = JSON.parse(readFileSync(file, 'utf8')) as StackFile;
  const section = Object.keys(json).find((name) => !SECTIONS.includes(name));
  if (section !== undefined) throw new Unknown(`${file} has a section "${section}"`);
  const [provider] = json.provider.google;
  if (provider === undefined) throw new Unknown(`${file} has no google provider`);
  const { project, region } = provider;

  const lookUp = (reference: string, seen: readonly string[]): Value => {
    const parts = /^(data\.)?([a-z0-9_]+)\.([A-Za-z0-9_-]+)\.([a-z0-9_.[\]]+)$/.exec(reference);
    if (parts === null) throw new Unknown(`\${${reference}} is not a plain attribute`);
    const [, data, type = '', id = '', attribute = ''] = parts;
    const of = (data === undefined ? json.resource : json.data)?.[type]?.[id];
    if (of === undefined) throw new Unknown(`\${${reference}}: there is no ${type}.${id}`);
    if (seen.includes(reference)) throw new Unknown(`\${${reference}} refers to itself`);
    const within = [...seen, reference];
    if (type === 'google_cloudfunctions2_function' && attribute === 'service_config[0].uri') {
      return outputs.functionUri(String(resolve(of['name'] ?? null, within)));
    }
    const make = computed[type]?.[attribute];
    if (make !== undefined) return make(resolved(of, within), { project, region });
    if (of[attribute] !== undefined) return resolve(of[attribute], within);
    // Only others without effect refer to it: any text will do.
    if (outputs.isWithoutEffect(type)) return `${type}.${id}.${attribute}`;
    throw new Unknown(`\${${reference}}: ${type} has no attribute ${attribute} known here`);
  };
  const resolve = (value: Value, seen: readonly string[] = []): Value => {
    if (typeof value === 'string') {
      const whole = /^\$\{([^}]*)\}$/.exec(value);
      if (whole?.[1] !== undefined) return lookUp(whole[1], seen);
      return value.replaceAll(/\$?\$\{([^}]*)\}/g, (text, reference: string) =>
        text.startsWith('$$') ? text.slice(1) : String(lookUp(reference, seen)),
      );
    }
    if (Array.isArray(value)) return value.map((item: Value) => resolve(item, seen));
    if (value !== null && typeof value === 'object') return resolved(value as Properties, seen);
    return value;
  };
  /** Attributes that nobody asks for may refer to things that need the one asked for. */
  const resolved = (properties: Properties, seen: readonly string[]): Properties =>
    Object.fromEntries(
      Object.entries(properties)
        .filter(([name]) => !ARGUMENTS_OF_TERRAFORM.includes(name))
        .map(([name, value]) => [name, resolve(value, seen)]),
    );

  const resources = Object.entries(json.resource).flatMap(([type, byId]) =>
    Object.entries(byId).map(([id, properties]) => ({
      type,
      id,
      properties: resolved(properties, []),
    })),
  );
  return { project, region, resources };
}

/** Names of the functions a stack declares, before anything of it is resolved. */
export function functionNames(file: string): readonly string[] {
  const json = JSON.parse(readFileSync(file, 'utf8')) as StackFile;
  const declared = json.resource['google_cloudfunctions2_function'] ?? {};
  return Object.values(declared).map((properties) => String(properties['name']));
}
