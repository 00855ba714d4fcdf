/** A deployed function with its own identity, the identity that calls it, and its inboxes. */
import { CloudRunV2ServiceIamMember } from '@cdktf/provider-google/lib/cloud-run-v2-service-iam-member/index.js';
import { Cloudfunctions2Function } from '@cdktf/provider-google/lib/cloudfunctions2-function/index.js';
import { StorageBucketObject } from '@cdktf/provider-google/lib/storage-bucket-object/index.js';
import { Construct } from 'constructs';
import { allocator, type FunctionSettings, type Variable } from '../functions/settings.ts';
import type { Bucket } from './bucket.ts';
import type { Connector } from './connector.ts';
import { Identity } from './identity.ts';
import type { ImageBuild } from './image_build.ts';
import type { Project } from './project.ts';
import { PushSubscription } from './subscription.ts';
import type { Topic } from './topic.ts';

export class DeployedFunction extends Construct {
  readonly settings: FunctionSettings;
  /** Who it is while it runs. */
  readonly identity: Identity;
  readonly #resource: Cloudfunctions2Function;
  /** Pub/Sub when it calls; null = it has nothing to deliver. */
  readonly #caller: Identity | null;
  readonly #project: Project;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly settings: FunctionSettings;
      readonly project: Project;
      readonly region: string;
      /** A value for every variable there is; the function gets those its settings name. */
      readonly values: Readonly<Record<Variable, string>>;
      readonly code: Bucket;
      /** Its zip: path as Terraform will see it, and its content's hash. */
      readonly zip: { readonly source: string; readonly sha256: string };
      readonly build: ImageBuild;
      /** Way into the network of what it reads; null = none is needed. */
      readonly connector: Connector | null;
      /** Anybody may call it: it judges requests itself. */
      readonly isPublic: boolean;
    },
  ) {
    super(scope, id);
    const { settings, code, zip, build } = options;
    this.settings = settings;
    this.#project = options.project;
    this.identity = new Identity(this, `fn-${settings.name}`, { about: settings.about });
    const object = new StorageBucketObject(this, 'zip', {
      bucket: code.name,
      // The hash in the name is what makes a change of code a change of the function.
      name: `functions/${settings.name}-${zip.sha256.slice(0, 16)}.zip`,
      source: zip.source,
      contentType: 'application/zip',
      // The one before is removed once the function is built from this one.
      lifecycle: { createBeforeDestroy: true },
    });
    this.#resource = new Cloudfunctions2Function(this, 'Resource', {
      name: settings.name,
      description: settings.about,
      location: options.region,
      buildConfig: {
        runtime: 'nodejs24',
        entryPoint: 'handler',
        dockerRepository: build.repository,
        serviceAccount: build.identity.account.name,
        source: { storageSource: { bucket: code.name, object: object.name } },
      },
      serviceConfig: {
        availableMemory: settings.memory,
        availableCpu: settings.cpu,
        timeoutSeconds: settings.timeoutSeconds,
        minInstanceCount: 0,
        maxInstanceCount: settings.maxInstances,
        maxInstanceRequestConcurrency: settings.concurrency,
        // Pub/Sub of the same project counts as internal, at the service's own run.app address.
        ingressSettings: options.isPublic ? 'ALLOW_ALL' : 'ALLOW_INTERNAL_ONLY',
        ...(options.connector === null
          ? {}
          : {
              vpcConnector: options.connector.id,
              vpcConnectorEgressSettings: 'PRIVATE_RANGES_ONLY',
            }),
        allTrafficOnLatestRevision: true,
        serviceAccountEmail: this.identity.email,
        environmentVariables: {
          ...Object.fromEntries(settings.variables.map((name) => [name, options.values[name]])),
          ...allocator,
        },
      },
      dependsOn: [...build.grants],
    });
    const mayCall = (id: string, member: string) =>
      new CloudRunV2ServiceIamMember(this, id, {
        name: this.#resource.name,
        location: options.region,
        role: 'roles/run.invoker',
        member,
      });
    if (options.isPublic) mayCall('everybody_invoker', 'allUsers');
    this.#caller = settings.inboxes.length === 0 ? null : this.#pushIdentity();
    if (this.#caller === null) return;
    mayCall('caller_invoker', this.#caller.member);
    // Projects older than April 2021 do not let Pub/Sub mint push tokens by themselves.
    this.#caller.grant(this.#project.pubsubAgent, 'roles/iam.serviceAccountTokenCreator');
  }

  get uri(): string {
    return this.#resource.serviceConfig.uri;
  }

  #pushIdentity(): Identity {
    const { name } = this.settings;
    return new Identity(this, `push-${name}`, { about: `Pub/Sub when it calls ${name}` });
  }

  /** Subscribes the function to a topic under `<function>--<topic>`. */
  receive(topic: Topic): PushSubscription {
    if (this.#caller === null) throw new Error(`${this.settings.name} has no inbox`);
    return new PushSubscription(this, topic.node.id, {
      name: `${this.settings.name}--${topic.node.id}`,
      topic,
      endpoint: this.uri,
      identity: this.#caller,
      answerSeconds: this.settings.timeoutSeconds,
      pubsubAgent: this.#project.pubsubAgent,
    });
  }
}
