-- What was told of derivatives, each moment once: where runs of an instrument overlap, the newest counts, and a live source alone.
CREATE OR REPLACE VIEW derivatives_once AS
SELECT *
FROM derivatives
WHERE (venue, symbol, source, run) NOT IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'derivatives' AND (beside_live OR notEmpty(newer))
)
UNION ALL
SELECT derivatives.*
FROM derivatives
INNER JOIN
(
    SELECT venue, symbol, source, run, newer
    FROM runs
    WHERE stored_in = 'derivatives' AND NOT beside_live AND notEmpty(newer)
) AS older
USING (venue, symbol, source, run)
WHERE (venue, symbol, source, run) IN (
    SELECT venue, symbol, source, run
    FROM runs
    WHERE stored_in = 'derivatives' AND NOT beside_live AND notEmpty(newer)
)
AND NOT arrayExists(other -> other.1 <= received_at AND received_at <= other.2, older.newer);
