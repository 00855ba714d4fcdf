/** The way from functions into a private network, where databases are. */
import { VpcAccessConnector } from '@cdktf/provider-google/lib/vpc-access-connector/index.js';
import { Construct } from 'constructs';

export class Connector extends Construct {
  /** As a function's `vpcConnector` wants it. */
  readonly id: string;

  constructor(
    scope: Construct,
    id: string,
    options: { readonly region: string; readonly network: string; readonly range: string },
  ) {
    super(scope, id);
    const resource = new VpcAccessConnector(this, 'Resource', {
      name: 'tributary-databases',
      region: options.region,
      network: options.network,
      ipCidrRange: options.range,
      // The least it takes; what flows through is one function's COPY at a time.
      minInstances: 2,
      maxInstances: 3,
    });
    this.id = resource.id;
  }
}
