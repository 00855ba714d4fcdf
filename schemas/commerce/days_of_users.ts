/**
 * Spark SQL: the days of a table's rows that show another name of a user than the one known by now.
 * A user who is gone from the shop has no name any more.
 * @param day the table's partition column; the table has `user_id` and `user_name`
 */
export const daysOfUsers = (day: string): string =>
  `SELECT DISTINCT self.${day} FROM self JOIN (
        SELECT user_id, CASE WHEN NOT coalesce(is_deleted, false) THEN nullif(trim(user_name), '') END AS user_name
        FROM changed WHERE _image = 'new'
      ) now ON now.user_id = self.user_id
      WHERE NOT (self.user_name <=> now.user_name)`;
