-- What every feed is now, and since when; of its live source where it has one, else one a source.
CREATE OR REPLACE VIEW latest_feed_status AS
SELECT venue, symbol, source, state, reason, epoch, sequence, received_at, detail, run
FROM feed_status
WHERE source = 'live' OR (venue, symbol) NOT IN (SELECT venue, symbol FROM feed_status WHERE source = 'live')
ORDER BY run DESC, received_at DESC, k_off DESC
LIMIT 1 BY venue, symbol, source;
