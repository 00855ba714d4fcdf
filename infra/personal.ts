/** The policy tag that personal columns carry in BigQuery, and who may read through it. */
import { DataCatalogPolicyTag } from '@cdktf/provider-google/lib/data-catalog-policy-tag/index.js';
import { DataCatalogPolicyTagIamMember } from '@cdktf/provider-google/lib/data-catalog-policy-tag-iam-member/index.js';
import { DataCatalogTaxonomy } from '@cdktf/provider-google/lib/data-catalog-taxonomy/index.js';
import { Construct } from 'constructs';

export class PersonalTag extends Construct {
  readonly #tag: DataCatalogPolicyTag;

  constructor(
    scope: Construct,
    id: string,
    options: {
      /** Where the datasets are: a tag holds in its own location only. */
      readonly location: string;
      /** IAM members such as `group:stewards@example.com`. */
      readonly readers: readonly string[];
    },
  ) {
    super(scope, id);
    const taxonomy = new DataCatalogTaxonomy(this, 'taxonomy', {
      region: options.location.toLowerCase(),
      displayName: 'tributary',
      description: 'Columns that say something about a person',
      activatedPolicyTypes: ['FINE_GRAINED_ACCESS_CONTROL'],
    });
    this.#tag = new DataCatalogPolicyTag(this, 'Resource', {
      taxonomy: taxonomy.id,
      displayName: 'personal',
      description: 'Names and addresses of people',
    });
    for (const member of options.readers) {
      new DataCatalogPolicyTagIamMember(this, member, {
        policyTag: this.#tag.name,
        role: 'roles/datacatalog.categoryFineGrainedReader',
        member,
      });
    }
  }

  /** Resource name, as a column's schema carries it. */
  get name(): string {
    return this.#tag.name;
  }
}
