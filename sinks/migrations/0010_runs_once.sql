-- Runs that were dropped with `obflow runs drop`: sinks store no row of them, and the audit expects none.
CREATE TABLE IF NOT EXISTS dropped_runs (
    run LowCardinality(String) COMMENT 'run of a producer, as in every table',
    dropped_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when'
)
ENGINE = ReplacingMergeTree(dropped_at)
ORDER BY run;
ALTER TABLE factors ADD PROJECTION IF NOT EXISTS runs (
    SELECT venue, symbol, source, run, status, count(), min(received_at), max(received_at)
    GROUP BY venue, symbol, source, run, status
);
ALTER TABLE factors MATERIALIZE PROJECTION runs;
ALTER TABLE factors DROP PROJECTION IF EXISTS statuses;
ALTER TABLE trades ADD PROJECTION IF NOT EXISTS runs (
    SELECT venue, symbol, source, run, count(), min(received_at), max(received_at) GROUP BY venue, symbol, source, run
);
ALTER TABLE trades MATERIALIZE PROJECTION runs;
ALTER TABLE regimes ADD PROJECTION IF NOT EXISTS runs (
    SELECT venue, symbol, feed_source, run, count(), min(window_end), max(window_end)
    GROUP BY venue, symbol, feed_source, run
);
ALTER TABLE regimes MATERIALIZE PROJECTION runs;
