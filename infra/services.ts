/** Google's services: which are switched on, and that nothing touches one before. */
import { TerraformResource, type TerraformStack } from 'cdktf';
import type { Project } from './project.ts';

/** In the project of data and functions, without `.googleapis.com`. */
export const services = [
  'artifactregistry',
  'bigquery',
  'cloudbuild',
  'cloudfunctions',
  'cloudresourcemanager',
  'cloudscheduler',
  'iam',
  'logging',
  'monitoring',
  'pubsub',
  'run',
  'secretmanager',
  'storage',
];

/** In the project where Spark runs. */
export const sparkServices = ['compute', 'dataproc', 'iam', 'storage'];

/** The service that must be on before a resource of a type can be made, by the type's beginning. */
const serviceOfType: Readonly<Record<string, string>> = {
  google_artifact_registry: 'artifactregistry',
  google_bigquery: 'bigquery',
  google_billing: 'billingbudgets',
  google_cloud_run: 'run',
  google_cloud_scheduler: 'cloudscheduler',
  google_cloudfunctions2: 'cloudfunctions',
  google_compute: 'compute',
  google_data_catalog: 'datacatalog',
  google_logging: 'logging',
  google_monitoring: 'monitoring',
  google_project_iam: 'iam',
  google_pubsub: 'pubsub',
  google_secret_manager: 'secretmanager',
  google_service_account: 'iam',
  google_storage: 'storage',
  google_vpc_access: 'vpcaccess',
};

/** A first apply must not touch a service before it is switched on. */
export function waitForServices(stack: TerraformStack, projects: readonly Project[]): void {
  for (const resource of stack.node.findAll()) {
    if (!(resource instanceof TerraformResource)) continue;
    const type = resource.terraformResourceType;
    const [, service] =
      Object.entries(serviceOfType).find(([beginning]) => type.startsWith(beginning)) ?? [];
    if (service === undefined) continue;
    const waits = new Set(
      projects.flatMap((project) => {
        const on = project.services.get(service);
        return on === undefined ? [] : [`${on.terraformResourceType}.${on.friendlyUniqueId}`];
      }),
    );
    resource.dependsOn = [...(resource.dependsOn ?? []), ...waits];
  }
}
