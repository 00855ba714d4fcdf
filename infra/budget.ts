/** A monthly budget that tells people; it never stops spending (docs/runbooks/cost.md). */
import { BillingBudget } from '@cdktf/provider-google/lib/billing-budget/index.js';
import { GoogleProvider } from '@cdktf/provider-google/lib/provider/index.js';
import { Construct } from 'constructs';
import type { Project } from './project.ts';

export class Budget extends Construct {
  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly name: string;
      readonly billingAccount: string;
      readonly currency: string;
      readonly amount: number;
      /** Projects whose cost counts; the first is billed for the calls themselves. */
      readonly projects: readonly [Project, ...(readonly Project[])];
      /** Notification channel. */
      readonly channel: string;
    },
  ) {
    super(scope, id);
    const [first] = options.projects;
    // The budgets API wants to know which project's quota its calls use.
    const provider = new GoogleProvider(this, 'provider', {
      alias: 'billing',
      billingProject: first.projectId,
      userProjectOverride: true,
    });
    new BillingBudget(this, 'Resource', {
      provider,
      billingAccount: options.billingAccount,
      displayName: options.name,
      amount: {
        specifiedAmount: { currencyCode: options.currency, units: String(options.amount) },
      },
      budgetFilter: { projects: options.projects.map((project) => `projects/${project.number}`) },
      thresholdRules: [
        { thresholdPercent: 0.5 },
        { thresholdPercent: 0.9 },
        { thresholdPercent: 1 },
        { thresholdPercent: 1, spendBasis: 'FORECASTED_SPEND' },
      ],
      allUpdatesRule: { monitoringNotificationChannels: [options.channel] },
    });
  }
}
