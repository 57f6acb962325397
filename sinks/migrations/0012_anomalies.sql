-- One row for the beginning and one for the end of each episode. A null number is "no value".
CREATE TABLE IF NOT EXISTS anomalies (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    kind LowCardinality(String) COMMENT 'liquidity_shift, one_sided, locked, wide_spread or spoofing_like',
    action LowCardinality(String) COMMENT 'open or close',
    reason LowCardinality(String) COMMENT 'began; ended or broken',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the event that made the step was received',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it',
    anomaly_set LowCardinality(String) COMMENT 'version of the anomalies and digest of their thresholds',
    first_offset Int64 CODEC(ZSTD(1)) COMMENT 'source_offset at which the condition began to hold, or the level grew',
    step Int64 CODEC(ZSTD(1)) COMMENT 'number of the step among those of its kind and event',
    side LowCardinality(Nullable(String)) COMMENT 'bid or ask: the side that is empty, or on which the level lies',
    opened_offset Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of a close: source_offset of its opening',
    lasted_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a close: time since its opening [ms]',
    score Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'in [0, 1]; no probability, and never an accusation',
    z Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a shift of liquidity: x against its baseline [sd]',
    x Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the number judged: logarithm of the depth; spread in ticks',
    baseline Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what it is judged against',
    mid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of the book [quote]',
    spread_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'spread [bps]',
    move_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'move of the mid in the last second; of a level, in its favour [bps]',
    recovery_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of a shift that closes: time until half was regained [s]',
    is_censored Nullable(Bool) COMMENT 'whether that was not seen: the book broke, or it took too long',
    price Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of the level [quote]',
    base_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size of the level before it grew [base]',
    added_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what was added [base]',
    removed_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what was taken away [base]',
    traded_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of that, what was traded [base]',
    flow_with Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'aggressive size the way the level leans [base]',
    flow_against Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'aggressive size against it [base]',
    side_share Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'added over the size of its side within 10 bps [ratio]',
    life_s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'how long it stood [s]',
    run LowCardinality(String) COMMENT 'run of the producer behind it',
    stream LowCardinality(String) COMMENT 'identity: the kind, and which of several steps of one event',
    source_log LowCardinality(String) COMMENT 'identity: log of the record behind the step, first 8 characters of its topic id',
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
        SELECT venue, symbol, source_log, source_partition, stream, max(source_offset), max(received_at)
        GROUP BY venue, symbol, source_log, source_partition, stream
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, kind, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
