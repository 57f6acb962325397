-- Judgements of windows, each moment once: where runs of an instrument overlap, the newest counts, and a live source alone.
CREATE OR REPLACE VIEW regimes_once AS
SELECT *
FROM regimes
WHERE (venue, symbol, feed_source, run) NOT IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'regimes' AND (beside_live OR notEmpty(newer))
)
UNION ALL
SELECT regimes.*
FROM regimes
INNER JOIN
(
    SELECT venue, symbol, source AS feed_source, run, newer
    FROM runs
    WHERE stored_in = 'regimes' AND NOT beside_live AND notEmpty(newer)
) AS older
USING (venue, symbol, feed_source, run)
WHERE (venue, symbol, feed_source, run) IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'regimes' AND NOT beside_live AND notEmpty(newer)
)
AND NOT arrayExists(other -> other.1 <= window_end AND window_end <= other.2, older.newer);
