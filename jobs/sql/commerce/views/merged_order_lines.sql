-- Order lines and returns, each once: what the stream and the orders API saw of one order and one
-- product (and one line, where both name lines) is one row, with the stream's smallest event id and
-- its time, and with the API's price. A sighting without a line takes a line that only the other
-- side has seen; several such events take one each, in the order of their ids, and what is left
-- repeats the last of them.
WITH sightings AS (
  SELECT
    *,
    collect_set(CASE WHEN seen_in = 'stream' THEN order_line_id END) OVER same_thing AS stream_lines,
    collect_set(CASE WHEN seen_in = 'orders' THEN order_line_id END) OVER same_thing AS api_lines
  FROM asked_sightings
  WINDOW same_thing AS (PARTITION BY order_id, product_id, event_name)
),
-- The API has at most one line without an id for an order and a product.
api_placed AS (
  SELECT
    *,
    CASE WHEN seen_in = 'orders' THEN
      coalesce(order_line_id, array_min(array_except(stream_lines, api_lines)), '')
    END AS api_slot,
    row_number() OVER (
      PARTITION BY order_id, product_id, event_name, seen_in, order_line_id ORDER BY sighting_id, seen_at
    ) AS turn
  FROM sightings
),
free AS (
  SELECT
    *,
    array_sort(array_except(collect_set(api_slot) OVER same_thing, stream_lines)) AS unseen,
    array_union(collect_set(api_slot) OVER same_thing, stream_lines) AS slots
  FROM api_placed
  WINDOW same_thing AS (PARTITION BY order_id, product_id, event_name)
),
placed AS (
  SELECT
    *,
    coalesce(
      api_slot,
      order_line_id,
      CASE WHEN size(unseen) > 0 THEN element_at(unseen, CAST(least(turn, size(unseen)) AS INT)) END,
      array_min(slots),
      ''
    ) AS slot
  FROM free
),
lines AS (
  SELECT
    order_id,
    product_id,
    event_name,
    nullif(slot, '') AS order_line_id,
    min(CASE WHEN seen_in = 'stream' THEN struct(sighting_id, seen_at, user_id, session_id, price) END) AS stream,
    min(CASE WHEN seen_in = 'orders' THEN struct(sighting_id, seen_at, user_id, price, quantity, status) END) AS api,
    array_sort(collect_set(seen_date)) AS seen_on
  FROM placed
  GROUP BY order_id, product_id, event_name, slot
)
SELECT
  to_date(coalesce(stream.seen_at, api.seen_at)) AS date,
  coalesce(stream.seen_at, api.seen_at) AS event_at,
  coalesce(stream.sighting_id, concat('order:', api.sighting_id)) AS event_id,
  event_name,
  product_id,
  coalesce(stream.user_id, api.user_id) AS user_id,
  order_id,
  order_line_id,
  stream.session_id,
  coalesce(api.price, stream.price) AS price,
  coalesce(api.quantity, CASE event_name WHEN 'return' THEN -1 ELSE 1 END) AS quantity,
  stream IS NOT NULL AS is_in_stream,
  api IS NOT NULL AS is_in_orders,
  seen_on
FROM lines
