-- One row a step of a signal: it opened, or it closed. A null number is "no value".
CREATE TABLE IF NOT EXISTS signals (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    kind LowCardinality(String) COMMENT 'what it is made of: imbalance, flow or classic; part of the identity',
    action LowCardinality(String) COMMENT 'open or close',
    side LowCardinality(String) COMMENT 'long or short',
    reason LowCardinality(String) COMMENT 'entered; horizon, left or unusable',
    horizon_ms Float64 CODEC(ZSTD(1)) COMMENT 'longest time it stays open, and the time its forecast is about [ms]',
    confidence Float64 CODEC(ZSTD(1)) COMMENT 'share of its forecasts that came true, of those whose mid moved',
    confidence_n Int64 CODEC(ZSTD(1)) COMMENT 'how many were judged',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the event that made the step was received',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it',
    signal_set LowCardinality(String) COMMENT 'version of the signals and digest of all they depend on',
    x Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the factor judged',
    z Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'how unusual it is; no probability [sd]',
    trend Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'its mean of late less its mean before that',
    mid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of the event [quote]',
    edge_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what it promises over the horizon; null until fitted [bps]',
    cost_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'spread and twice the taker''s fee; null without a fee [bps]',
    tradable Nullable(Bool) COMMENT 'whether the edge exceeds the cost',
    opened_offset Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of a close: source_offset of its opening',
    held_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a close: time since its opening [ms]',
    return_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a close: the mid''s gross change the signal''s way [bps]',
    run LowCardinality(String) COMMENT 'run of the producer behind it',
    source_log LowCardinality(String) COMMENT 'identity: log of the event that made the step, first 8 characters of its topic id',
    source_partition UInt16 CODEC(ZSTD(1)) COMMENT 'identity: partition of that log',
    source_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'identity: offset in that partition',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert',
    INDEX ix_received_at received_at TYPE minmax GRANULARITY 1,
    PROJECTION resume (SELECT k_log, k_part, max(k_off) GROUP BY k_log, k_part),
    PROJECTION identities (
        SELECT venue, symbol, source_log, source_partition, kind, max(source_offset), max(received_at)
        GROUP BY venue, symbol, source_log, source_partition, kind
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, kind, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
