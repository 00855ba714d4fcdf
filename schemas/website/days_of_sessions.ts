/**
 * Spark SQL: the days whose rows a changed event takes part in, by what session it is of. A derived
 * session is cut at midnight. One with an id of its own may go on from the afternoon of one day to
 * the morning of the next (jobs/sql/website/views/session_events.sql): whether it does depends on
 * all its events of the first day.
 */
export const daysOfSessions = `SELECT DISTINCT explode(CASE
        WHEN session_id IS NULL THEN array(day)
        WHEN hour(occurred_at) < 12 THEN array(date_sub(day, 1), day, date_add(day, 1))
        ELSE array(day, date_add(day, 1))
      END) AS day
      FROM (SELECT session_id, occurred_at, to_date(occurred_at) AS day FROM changed)`;
