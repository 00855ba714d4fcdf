WITH near AS (
  SELECT DISTINCT explode(sequence(date_sub(partition, 7), date_add(partition, 6))) AS day FROM partitions
),
-- Only sessions with an event on a day asked for can have begun on it.
asked AS (
  SELECT DISTINCT b.session_id
  FROM user_behavior b
  LEFT SEMI JOIN partitions p ON p.partition = b.date
  WHERE b.session_id IS NOT NULL AND NOT b.is_derived_session
),
own AS (
  SELECT b.*
  FROM user_behavior b
  LEFT SEMI JOIN near n ON n.day = b.date
  LEFT SEMI JOIN asked a ON a.session_id = b.session_id
  WHERE NOT b.is_derived_session
),
-- A session with an id of its own belongs to the day it began, and goes on as long as no whole UTC
-- day passes without an event. An id that never rests would tie every day to all before it: from
-- its eighth day on, each day is a session of its own.
runs AS (
  SELECT session_id, date, min(date) OVER (PARTITION BY session_id, run) AS run_began
  FROM (
    SELECT
      session_id,
      date,
      date_sub(date, CAST(row_number() OVER (PARTITION BY session_id ORDER BY date) AS INT)) AS run
    FROM (SELECT DISTINCT session_id, date FROM own)
  )
),
placed AS (
  SELECT
    CASE WHEN datediff(r.date, r.run_began) < 7 THEN r.run_began ELSE r.date END AS session_date,
    o.session_id, o.user_id, o.event_at, o.event_id, o.event_name, o.order_id, o.amount, o.is_derived_session
  FROM own o
  JOIN runs r ON r.session_id = o.session_id AND r.date = o.date
  UNION ALL
  SELECT
    b.date,
    b.session_id, b.user_id, b.event_at, b.event_id, b.event_name, b.order_id, b.amount, b.is_derived_session
  FROM user_behavior b
  LEFT SEMI JOIN partitions p ON p.partition = b.date
  WHERE b.is_derived_session
)
SELECT
  session_date,
  session_id,
  -- A visitor who signs in on the way is the user from the beginning.
  min_by(user_id, CASE WHEN user_id IS NOT NULL THEN struct(event_at, event_id) END) AS user_id,
  min(event_at) AS started_at,
  max(event_at) AS ended_at,
  count(*) AS events,
  count_if(event_name = 'view') AS views,
  count(DISTINCT CASE WHEN event_name = 'order' THEN coalesce(order_id, event_id) END) AS orders,
  CAST(coalesce(sum(CASE WHEN event_name = 'order' THEN amount END), 0) AS DECIMAL(38, 9)) AS amount_spent,
  count_if(event_name = 'wishlist') AS wishlists,
  count_if(event_name = 'return') AS returns,
  CAST(coalesce(-sum(CASE WHEN event_name = 'return' THEN amount END), 0) AS DECIMAL(38, 9)) AS amount_returned,
  bool_or(is_derived_session) AS is_derived
FROM placed
GROUP BY session_date, session_id
