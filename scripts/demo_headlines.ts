/** What a demo shows of its tables: headline metrics, and what was planted and found again. */
import { SEED, scales, worldsEnd } from './demo_fill.ts';
import type { Target } from './target.ts';

type Row = Readonly<Record<string, unknown>>;

export interface Headline {
  readonly title: string;
  readonly rows: readonly Row[];
}

interface Question {
  readonly title: string;
  readonly sql: string;
}

const CAMPAIGNS = `SELECT p.campaign_id, max(c.campaign_name) AS name, sum(p.sent) AS sent,
  sum(p.delivered) AS delivered, sum(p.unique_human_opens) AS opened,
  sum(p.unique_human_clicks) AS clicked, sum(p.unsubscribed) AS unsubscribed,
  sum(p.hard_bounced) AS hard_bounced
FROM email.campaign_performance AS p LEFT JOIN email.dim_campaign AS c ON c.campaign_id = p.campaign_id
GROUP BY p.campaign_id`;

/** The key metrics of the shop, newest days first. */
const commerce: readonly Question[] = [
  {
    title: 'top_products: the most viewed and the most bought of the newest days',
    sql: `SELECT date, event_name, product_id, product_name, events, users, amount
FROM commerce.top_products WHERE day_rank = 1 AND event_name IN ('view', 'order')
ORDER BY date DESC, event_name DESC LIMIT 6`,
  },
  {
    title: 'spend_per_session',
    sql: `SELECT date, sessions, buying_sessions, users, amount_spent, average_per_session
FROM commerce.spend_per_session ORDER BY date DESC LIMIT 5`,
  },
  {
    title: 'unique_visitors',
    sql: `SELECT date, visitors, new_visitors, returning_visitors
FROM commerce.unique_visitors ORDER BY date DESC LIMIT 5`,
  },
  {
    title: 'orders_by_date',
    sql: `SELECT date, orders, order_lines, buyers, amount, average_order_amount, returns
FROM commerce.orders_by_date ORDER BY date DESC LIMIT 5`,
  },
  {
    title: 'daily_traffic',
    sql: `SELECT date, event_name, events, users, sessions
FROM commerce.daily_traffic ORDER BY date DESC, events DESC LIMIT 8`,
  },
];

const website: readonly Question[] = [
  {
    title: 'content that was read most on one day',
    sql: `SELECT event_date, entity_type, entity_id, events, users, returning_users
FROM website.content_by_day ORDER BY events DESC LIMIT 5`,
  },
  {
    title: 'conversions by channel',
    sql: `SELECT event_type, channel, SUM(conversions) AS conversions, SUM(amount) AS amount
FROM website.conversions_by_day GROUP BY event_type, channel ORDER BY conversions DESC LIMIT 6`,
  },
  {
    title: 'journeys',
    sql: `SELECT path, SUM(sessions) AS sessions, SUM(converted_sessions) AS converted_sessions
FROM website.journeys GROUP BY path ORDER BY sessions DESC LIMIT 5`,
  },
];

/** The headlines of a domain, as its tables tell them. */
export async function headlines(target: Target, domain: string): Promise<readonly Headline[]> {
  if (domain === 'email') return [await campaigns(target)];
  const questions = domain === 'commerce' ? commerce : domain === 'website' ? website : [];
  const found: Headline[] = [];
  for (const { title, sql } of questions) {
    found.push({ title, rows: (await target.world.warehouse.rows(sql)).map(plain) });
  }
  return found;
}

/** Dates and decimals come as objects of the client: people read their text. */
const plain = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      value instanceof Object ? textOf(value) : value,
    ]),
  );

const textOf = (value: object): string => ('value' in value ? String(value.value) : String(value));

/** Campaigns with enough sends to be judged, best first: by the share of people who opened. */
async function campaigns(target: Target): Promise<Headline> {
  const rows = await target.world.warehouse.rows(CAMPAIGNS);
  const of = (row: Row, name: string): number => Number(row[name]);
  const rate = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const most = Math.max(0, ...rows.map((row) => of(row, 'sent')));
  const judged = rows
    .filter((row) => of(row, 'sent') >= most / 20)
    .map((row) => ({ row, open: rate(of(row, 'opened'), of(row, 'delivered')) }))
    .sort((a, b) => b.open - a.open)
    .map(({ row, open }) => ({
      campaign: `${row['name'] ?? row['campaign_id']}`,
      sent: of(row, 'sent'),
      delivered: of(row, 'delivered'),
      human_open_rate: percent(open),
      human_click_rate: percent(rate(of(row, 'clicked'), of(row, 'delivered'))),
      unsubscribed: of(row, 'unsubscribed'),
      hard_bounced: of(row, 'hard_bounced'),
    }));
  const [best] = judged;
  const worst = judged.at(-1);
  return {
    title: `best and worst of ${judged.length} campaigns, by the share of people who opened`,
    rows:
      best === undefined || worst === undefined
        ? []
        : [
            { '': 'best', ...best },
            { '': 'worst', ...worst },
          ],
  };
}

export interface Planted {
  readonly fact: string;
  readonly planted: string;
  readonly found: string;
}

/** What was planted in a domain's world, next to what a question to its tables finds. */
export async function planted(
  target: Target,
  domain: string,
  options: { readonly scale: keyof (typeof scales)[string]; readonly now: number },
): Promise<readonly Planted[]> {
  const world = {
    seed: SEED,
    scale: scales[domain]?.[options.scale] ?? 0,
    until: worldsEnd(options.now),
  };
  const text = async (sql: string): Promise<string> => {
    const rows = await target.world.warehouse.rows(sql);
    return rows.map((row) => Object.values(row).map(String).join(' ')).join(', ');
  };
  if (domain === 'commerce') {
    const { shopWorld } = await import('../local/outside/shop/world.ts');
    const { viral, returnWave, checkoutBug } = shopWorld(world).planted;
    return [
      {
        fact: 'a viral product',
        planted: `${viral.productId} ${viral.from} to ${viral.to}`,
        found:
          await text(`SELECT product_id, CAST(MIN(date) AS STRING) AS day FROM commerce.top_products
WHERE event_name = 'view' AND product_id = (
  SELECT product_id FROM commerce.top_products WHERE event_name = 'view' ORDER BY events DESC, product_id LIMIT 1)
AND day_rank = 1 GROUP BY product_id`),
      },
      {
        fact: 'a return wave',
        planted: `${returnWave.productId} ${returnWave.from} to ${returnWave.to}`,
        found:
          await text(`SELECT product_id, CONCAT(CAST(SUM(IF(event_name = 'return', events, 0)) AS STRING), ' of ',
  CAST(SUM(IF(event_name = 'order', events, 0)) AS STRING), ' came back') AS returned
FROM commerce.top_products GROUP BY product_id
ORDER BY SUM(IF(event_name = 'return', events, 0)) DESC, product_id LIMIT 1`),
      },
      {
        fact: 'a checkout bug on phones',
        planted: `${checkoutBug.from} to ${checkoutBug.to}`,
        found: await text(`SELECT CAST(session_date AS STRING) AS day FROM commerce.sessions
WHERE STARTS_WITH(session_id, '${checkoutBug.sessions}') GROUP BY session_date
HAVING SUM(orders) = 0 AND COUNT(*) > 5 ORDER BY session_date`),
      },
    ];
  }
  if (domain === 'website') {
    const { siteWorld } = await import('../local/outside/site/world.ts');
    const { viral, signupBug, campaign, newType } = siteWorld(world).planted;
    return [
      {
        fact: 'a viral post',
        planted: `${viral.entityId} ${viral.from} to ${viral.to}`,
        found:
          await text(`SELECT entity_id, CAST(event_date AS STRING) AS day FROM website.content_by_day
ORDER BY events DESC, entity_id LIMIT 1`),
      },
      {
        fact: 'a sign-up bug on phones',
        planted: `${signupBug.from} to ${signupBug.to}`,
        found: await text(`SELECT CAST(event_date AS STRING) AS day FROM website.events
WHERE device = '${signupBug.device}' AND event_type IN ('signup_start', 'signup') GROUP BY event_date
HAVING COUNTIF(event_type = 'signup') * 5 < COUNTIF(event_type = 'signup_start') AND COUNT(*) > 5
ORDER BY event_date`),
      },
      {
        fact: 'a campaign',
        planted: `${campaign.name} ${campaign.from} to ${campaign.to}`,
        found:
          await text(`SELECT utm_campaign, CAST(event_date AS STRING) AS day FROM website.events
WHERE utm_campaign IS NOT NULL GROUP BY utm_campaign, event_date
ORDER BY COUNT(DISTINCT session_id) DESC, utm_campaign LIMIT 1`),
      },
      {
        fact: 'a type never seen before',
        planted: `${newType.eventType} from ${newType.from}`,
        found:
          await text(`SELECT event_type, CAST(MIN(event_date) AS STRING) AS day FROM website.events
GROUP BY event_type ORDER BY MIN(event_date) DESC, event_type LIMIT 1`),
      },
    ];
  }
  return [];
}
