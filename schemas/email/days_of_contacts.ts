/**
 * Spark SQL: the days of a table's rows whose address a changed contact resolves, or did before.
 * Only what resolves an address or a country counts: a contact changes for many other reasons.
 * @param day the table's partition column; the table has `email_hash`
 */
export const daysOfContacts = (day: string): string =>
  `SELECT DISTINCT self.${day} FROM self JOIN (
        SELECT explode(all_of_one) AS email_hash FROM (
          SELECT flatten(collect_set(concat(array(email_hash), coalesce(additional_email_hashes, array())))) AS all_of_one
          FROM changed GROUP BY id
          HAVING count(*) = 1 OR count(DISTINCT struct(email_hash, additional_email_hashes, merged_ids, country, is_deleted)) > 1
        )
      ) AS touched USING (email_hash)`;
