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

/** The services that must be on before a resource of a type is made, by the type's beginning. */
const servicesOfType: Readonly<Record<string, readonly string[]>> = {
  google_artifact_registry: ['artifactregistry'],
  google_bigquery: ['bigquery'],
  google_billing: ['billingbudgets'],
  google_cloud_run: ['run'],
  google_cloud_scheduler: ['cloudscheduler'],
  // A function is an image that Cloud Build makes, and a service of Cloud Run.
  google_cloudfunctions2: ['cloudfunctions', 'cloudbuild', 'run'],
  google_compute: ['compute'],
  google_data_catalog: ['datacatalog'],
  google_logging: ['logging'],
  google_monitoring: ['monitoring'],
  google_project_iam: ['iam'],
  google_pubsub: ['pubsub'],
  google_secret_manager: ['secretmanager'],
  google_service_account: ['iam'],
  google_storage: ['storage'],
  // Its instances are in a network of Compute Engine.
  google_vpc_access: ['vpcaccess', 'compute'],
};

/** A first apply must not touch a service before it is switched on. */
export function waitForServices(stack: TerraformStack, projects: readonly Project[]): void {
  for (const resource of stack.node.findAll()) {
    if (!(resource instanceof TerraformResource)) continue;
    const type = resource.terraformResourceType;
    const [, needed = []] =
      Object.entries(servicesOfType).find(([beginning]) => type.startsWith(beginning)) ?? [];
    const waits = new Set(
      needed
        .flatMap((service) => projects.map((project) => project.services.get(service)))
        .flatMap((on) =>
          on === undefined ? [] : [`${on.terraformResourceType}.${on.friendlyUniqueId}`],
        ),
    );
    resource.dependsOn = [...(resource.dependsOn ?? []), ...waits];
  }
}
