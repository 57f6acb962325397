-- One row a minute of a feed, as its producer counted it. Counts add up over any rows; sketches do, value by value.
CREATE TABLE IF NOT EXISTS feed_quality (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    source LowCardinality(String) COMMENT 'live, replay or simulator',
    began_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'from when',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'until when',
    updates Int64 CODEC(ZSTD(1)) COMMENT 'updates applied to the book',
    gaps Int64 CODEC(ZSTD(1)) COMMENT 'times that a LIVE book was broken by a missing update',
    ids_seen Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'by how much the venue''s numbers rose with updates that came; null where they are our own',
    ids_lost Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'by how much they rose with updates that did not come; null where they are our own',
    restarts Int64 CODEC(ZSTD(1)) COMMENT 'times that they began anew: how much was lost then is not known',
    reopened Int64 CODEC(ZSTD(1)) COMMENT 'times that the connection that carries it, lost before, stood again',
    reopen_failed Int64 CODEC(ZSTD(1)) COMMENT 'tries of that which failed',
    clock_low_ns Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'the venue''s clock is ahead of ours by at least this; null where no answer had a time [ns]',
    clock_high_ns Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'the venue''s clock is ahead of ours by at most this; null where no answer had a time [ns]',
    depth_latency_us Array(Int64) CODEC(ZSTD(1)) COMMENT 'times from the exchange to the socket, of updates, rounded to seven significant bits [us]',
    depth_latency_counts Array(Int64) CODEC(ZSTD(1)) COMMENT 'how often each of them was',
    depth_latency_sum_us Int64 CODEC(ZSTD(1)) COMMENT 'sum of them, not rounded [us]',
    trade_latency_us Array(Int64) CODEC(ZSTD(1)) COMMENT 'times from the exchange to the socket, of trades, rounded to seven significant bits [us]',
    trade_latency_counts Array(Int64) CODEC(ZSTD(1)) COMMENT 'how often each of them was',
    trade_latency_sum_us Int64 CODEC(ZSTD(1)) COMMENT 'sum of them, not rounded [us]',
    run LowCardinality(String) COMMENT 'run of the producer that wrote the record',
    source_log LowCardinality(String) COMMENT 'identity: log the row came from, first 8 characters of its topic id',
    source_partition UInt16 CODEC(ZSTD(1)) COMMENT 'identity: partition of that log',
    source_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'identity: offset in that partition',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert',
    INDEX ix_received received_at TYPE minmax GRANULARITY 1,
    PROJECTION resume (SELECT k_log, k_part, max(k_off) GROUP BY k_log, k_part),
    PROJECTION identities (
        SELECT venue, symbol, source_log, source_partition, max(source_offset), max(received_at)
        GROUP BY venue, symbol, source_log, source_partition
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
