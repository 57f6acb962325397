-- One row a change of a feed. Heartbeats are not stored.
CREATE TABLE IF NOT EXISTS feed_status (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    source LowCardinality(String) COMMENT 'live, replay or simulator',
    state LowCardinality(String) COMMENT 'what the feed became',
    reason LowCardinality(Nullable(String)) COMMENT 'why the book is not live',
    epoch Int64 CODEC(Delta, ZSTD(1)) COMMENT 'the producer''s epoch',
    sequence Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'the book''s sequence; null before the first snapshot',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it became true',
    detail String CODEC(ZSTD(1)) COMMENT 'one sentence for a person',
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
