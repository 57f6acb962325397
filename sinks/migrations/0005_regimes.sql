-- One row a judgement of a closed window of factor events. A null number is "no value".
CREATE TABLE IF NOT EXISTS regimes (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    source LowCardinality(String) COMMENT 'who judged: rule or llm; part of the identity',
    label LowCardinality(String) COMMENT 'the judgement',
    confidence Float64 CODEC(ZSTD(1)) COMMENT 'in [0, 1]',
    sentence String CODEC(ZSTD(3)) COMMENT 'the model''s reason, never trusted as text; empty for rules',
    window_start DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'first nanosecond of the window of received time',
    window_end DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'first nanosecond past the window',
    rule_set LowCardinality(String) COMMENT 'version of the rules and digest of their thresholds',
    direction Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'imbalance against earlier windows [sd]',
    volatility Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'percentile of the realised variance [ratio]',
    change Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'CUSUM of the direction [sd]',
    events Int64 CODEC(ZSTD(1)) COMMENT 'factor events in the window',
    usable_events Int64 CODEC(ZSTD(1)) COMMENT 'those with status OK or THIN',
    whole Bool COMMENT 'no event of the window was RESYNCING',
    mid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'last usable mid [quote]',
    return_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'change of the mid since before the window [bps]',
    imbalance Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mean obi_10bps [ratio]',
    order_flow Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'sum of ofi_l1 [base]',
    depth Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mean notional within 10 bps, both sides [quote]',
    spread_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mean spread [bps]',
    realised_variance Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'sum of squared one-second log returns of the mid',
    model LowCardinality(String) COMMENT 'model asked; empty for rules',
    prompt_version LowCardinality(String) COMMENT 'version of the instructions; empty for rules',
    prompt_hash LowCardinality(String) COMMENT 'hash of the instructions; empty for rules',
    latency_ms Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'from the question to its answer, all tries [ms]',
    input_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of the answer, as reported',
    output_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of the answer, as reported',
    cost_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'of the answer, by the configured prices [USD]',
    source_log LowCardinality(String) COMMENT 'identity: log of the event that closed the window, first 8 characters of its topic id',
    source_partition UInt16 CODEC(ZSTD(1)) COMMENT 'identity: partition of that log',
    source_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'identity: offset in that partition; rises with window_end',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert',
    INDEX ix_window_end window_end TYPE minmax GRANULARITY 1,
    PROJECTION resume (SELECT k_log, k_part, max(k_off) GROUP BY k_log, k_part),
    PROJECTION identities (
        SELECT venue, symbol, source_log, source_partition, source, max(source_offset), max(window_end)
        GROUP BY venue, symbol, source_log, source_partition, source
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, source, window_end, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
