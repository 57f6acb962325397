-- What every feed is now, and since when.
CREATE OR REPLACE VIEW latest_feed_status AS
SELECT venue, symbol, source, state, reason, epoch, sequence, received_at, detail
FROM feed_status
ORDER BY received_at DESC, k_off DESC
LIMIT 1 BY venue, symbol;
