-- The newest factor event of every instrument; of its live source where it has one, else one a source.
CREATE OR REPLACE VIEW latest_factors AS
SELECT *
FROM factors
WHERE (venue, symbol, source, received_at) IN (
    SELECT venue, symbol, source, max(last_at)
    FROM runs
    WHERE stored_in = 'factors' AND NOT beside_live
    GROUP BY venue, symbol, source
)
ORDER BY run DESC, source_offset DESC
LIMIT 1 BY venue, symbol, source;
