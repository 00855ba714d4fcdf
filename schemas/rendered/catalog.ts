/** Every contract, by name. Written by `./tributary render`; never edited. */
import type { DomainContract, SourceContract, TableContract } from '../contract.ts';
import { commerce as domain_commerce_commerce } from '../commerce/domain.ts';
import { behavior_events as source_commerce_behavior_events } from '../commerce/sources/behavior_events.ts';
import { flipkart_products as source_commerce_flipkart_products } from '../commerce/sources/flipkart_products.ts';
import { orders as source_commerce_orders } from '../commerce/sources/orders.ts';
import { products as source_commerce_products } from '../commerce/sources/products.ts';
import { users as source_commerce_users } from '../commerce/sources/users.ts';
import { daily_traffic as table_commerce_daily_traffic } from '../commerce/tables/daily_traffic.ts';
import { order_sightings as table_commerce_order_sightings } from '../commerce/tables/order_sightings.ts';
import { orders_by_date as table_commerce_orders_by_date } from '../commerce/tables/orders_by_date.ts';
import { orders_enriched as table_commerce_orders_enriched } from '../commerce/tables/orders_enriched.ts';
import { product_catalog as table_commerce_product_catalog } from '../commerce/tables/product_catalog.ts';
import { product_prices as table_commerce_product_prices } from '../commerce/tables/product_prices.ts';
import { sessions as table_commerce_sessions } from '../commerce/tables/sessions.ts';
import { spend_per_session as table_commerce_spend_per_session } from '../commerce/tables/spend_per_session.ts';
import { top_products as table_commerce_top_products } from '../commerce/tables/top_products.ts';
import { unique_visitors as table_commerce_unique_visitors } from '../commerce/tables/unique_visitors.ts';
import { user_behavior as table_commerce_user_behavior } from '../commerce/tables/user_behavior.ts';
import { user_profile as table_commerce_user_profile } from '../commerce/tables/user_profile.ts';
import { email as domain_email_email } from '../email/domain.ts';
import { contacts as source_email_contacts } from '../email/sources/contacts.ts';
import { email_campaigns as source_email_email_campaigns } from '../email/sources/email_campaigns.ts';
import { email_events as source_email_email_events } from '../email/sources/email_events.ts';
import { marketing_emails as source_email_marketing_emails } from '../email/sources/marketing_emails.ts';
import { owners as source_email_owners } from '../email/sources/owners.ts';
import { campaign_performance as table_email_campaign_performance } from '../email/tables/campaign_performance.ts';
import { dim_campaign as table_email_dim_campaign } from '../email/tables/dim_campaign.ts';
import { dim_country as table_email_dim_country } from '../email/tables/dim_country.ts';
import { dim_device as table_email_dim_device } from '../email/tables/dim_device.ts';
import { dim_event_type as table_email_dim_event_type } from '../email/tables/dim_event_type.ts';
import { dim_marketing_team as table_email_dim_marketing_team } from '../email/tables/dim_marketing_team.ts';
import { dim_user as table_email_dim_user } from '../email/tables/dim_user.ts';
import { domain_deliverability as table_email_domain_deliverability } from '../email/tables/domain_deliverability.ts';
import { email_send as table_email_email_send } from '../email/tables/email_send.ts';
import { engagement_by_day as table_email_engagement_by_day } from '../email/tables/engagement_by_day.ts';
import { fact_email_engagement as table_email_fact_email_engagement } from '../email/tables/fact_email_engagement.ts';
import { link_clicks as table_email_link_clicks } from '../email/tables/link_clicks.ts';
import { reconciliation as table_email_reconciliation } from '../email/tables/reconciliation.ts';
import { send_time as table_email_send_time } from '../email/tables/send_time.ts';
import { ops as domain_ops_ops } from '../ops/domain.ts';
import { batches as table_ops_batches } from '../ops/tables/batches.ts';
import { fence as table_ops_fence } from '../ops/tables/fence.ts';
import { freshness as table_ops_freshness } from '../ops/tables/freshness.ts';
import { loads as table_ops_loads } from '../ops/tables/loads.ts';
import { quality as table_ops_quality } from '../ops/tables/quality.ts';
import { rejected as table_ops_rejected } from '../ops/tables/rejected.ts';
import { runs as table_ops_runs } from '../ops/tables/runs.ts';
import { website as domain_website_website } from '../website/domain.ts';
import { site_events as source_website_site_events } from '../website/sources/site_events.ts';
import { content_by_day as table_website_content_by_day } from '../website/tables/content_by_day.ts';
import { content_preferences as table_website_content_preferences } from '../website/tables/content_preferences.ts';
import { conversions_by_day as table_website_conversions_by_day } from '../website/tables/conversions_by_day.ts';
import { events as table_website_events } from '../website/tables/events.ts';
import { journeys as table_website_journeys } from '../website/tables/journeys.ts';
import { sessions as table_website_sessions } from '../website/tables/sessions.ts';
import { transitions as table_website_transitions } from '../website/tables/transitions.ts';

export const catalog: {
  readonly domains: Readonly<Record<string, DomainContract>>;
  readonly sources: Readonly<Record<string, SourceContract>>;
  readonly tables: Readonly<Record<string, TableContract>>;
} = {
  domains: {
    commerce: domain_commerce_commerce,
    email: domain_email_email,
    ops: domain_ops_ops,
    website: domain_website_website,
  },
  sources: {
    'commerce.behavior_events': source_commerce_behavior_events,
    'commerce.flipkart_products': source_commerce_flipkart_products,
    'commerce.orders': source_commerce_orders,
    'commerce.products': source_commerce_products,
    'commerce.users': source_commerce_users,
    'email.contacts': source_email_contacts,
    'email.email_campaigns': source_email_email_campaigns,
    'email.email_events': source_email_email_events,
    'email.marketing_emails': source_email_marketing_emails,
    'email.owners': source_email_owners,
    'website.site_events': source_website_site_events,
  },
  tables: {
    'commerce.daily_traffic': table_commerce_daily_traffic,
    'commerce.order_sightings': table_commerce_order_sightings,
    'commerce.orders_by_date': table_commerce_orders_by_date,
    'commerce.orders_enriched': table_commerce_orders_enriched,
    'commerce.product_catalog': table_commerce_product_catalog,
    'commerce.product_prices': table_commerce_product_prices,
    'commerce.sessions': table_commerce_sessions,
    'commerce.spend_per_session': table_commerce_spend_per_session,
    'commerce.top_products': table_commerce_top_products,
    'commerce.unique_visitors': table_commerce_unique_visitors,
    'commerce.user_behavior': table_commerce_user_behavior,
    'commerce.user_profile': table_commerce_user_profile,
    'email.campaign_performance': table_email_campaign_performance,
    'email.dim_campaign': table_email_dim_campaign,
    'email.dim_country': table_email_dim_country,
    'email.dim_device': table_email_dim_device,
    'email.dim_event_type': table_email_dim_event_type,
    'email.dim_marketing_team': table_email_dim_marketing_team,
    'email.dim_user': table_email_dim_user,
    'email.domain_deliverability': table_email_domain_deliverability,
    'email.email_send': table_email_email_send,
    'email.engagement_by_day': table_email_engagement_by_day,
    'email.fact_email_engagement': table_email_fact_email_engagement,
    'email.link_clicks': table_email_link_clicks,
    'email.reconciliation': table_email_reconciliation,
    'email.send_time': table_email_send_time,
    'ops.batches': table_ops_batches,
    'ops.fence': table_ops_fence,
    'ops.freshness': table_ops_freshness,
    'ops.loads': table_ops_loads,
    'ops.quality': table_ops_quality,
    'ops.rejected': table_ops_rejected,
    'ops.runs': table_ops_runs,
    'website.content_by_day': table_website_content_by_day,
    'website.content_preferences': table_website_content_preferences,
    'website.conversions_by_day': table_website_conversions_by_day,
    'website.events': table_website_events,
    'website.journeys': table_website_journeys,
    'website.sessions': table_website_sessions,
    'website.transitions': table_website_transitions,
  },
};
