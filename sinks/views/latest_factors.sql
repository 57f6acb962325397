-- The newest factor event of every instrument.
CREATE OR REPLACE VIEW latest_factors AS
SELECT *
FROM factors
WHERE (venue, symbol, received_at) IN (
    SELECT venue, symbol, max(received_at)
    FROM factors
    GROUP BY venue, symbol
)
ORDER BY source_offset DESC
LIMIT 1 BY venue, symbol;
