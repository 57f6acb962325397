-- Episodes, each moment once: where runs of an instrument overlap, the newest counts, and a live source alone.
CREATE OR REPLACE VIEW anomalies_once AS
SELECT *
FROM anomalies
WHERE (venue, symbol, feed_source, run) NOT IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'factors' AND (beside_live OR notEmpty(newer))
)
UNION ALL
SELECT anomalies.*
FROM anomalies
INNER JOIN
(
    SELECT venue, symbol, source AS feed_source, run, newer
    FROM runs
    WHERE stored_in = 'factors' AND NOT beside_live AND notEmpty(newer)
) AS older
USING (venue, symbol, feed_source, run)
WHERE (venue, symbol, feed_source, run) IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'factors' AND NOT beside_live AND notEmpty(newer)
)
AND NOT arrayExists(other -> other.1 <= received_at AND received_at <= other.2, older.newer);
