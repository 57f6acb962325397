-- One row a factor event. A null factor is "no value": never 0, never NaN.
CREATE TABLE IF NOT EXISTS factors (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    source LowCardinality(String) COMMENT 'live, replay or simulator',
    sequence Int64 CODEC(Delta, ZSTD(1)) COMMENT 'the venue''s number of the update',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'our time at the socket',
    exchange_at Nullable(DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)) COMMENT 'the venue''s time; null where it gives none',
    status LowCardinality(String) COMMENT 'state of the book; factors can be trusted where it is OK',
    factor_set LowCardinality(String) COMMENT 'version of the factor list',
    best_bid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'highest bid price [quote]',
    best_ask Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'lowest ask price [quote]',
    best_bid_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size at the best bid [base]',
    best_ask_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size at the best ask [base]',
    mid Nullable(Float64) CODEC(ZSTD(1)) COMMENT '(best bid + best ask)/2 [quote]',
    spread Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'best ask - best bid [quote]',
    spread_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'spread over mid [bps]',
    bid_levels Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'number of bid levels [levels]',
    ask_levels Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'number of ask levels [levels]',
    obi_l1 Nullable(Float64) CODEC(ZSTD(1)) COMMENT '(bid - ask)/(bid + ask) size at the best; + is bid heavy [ratio]',
    obi_l3 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same over the top 3 levels [ratio]',
    obi_l5 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same over the top 5 levels [ratio]',
    obi_l10 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same over the top 10 levels [ratio]',
    obi_l20 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same over the top 20 levels [ratio]',
    bid_volume_l10 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'bid size over the top 10 levels [base]',
    ask_volume_l10 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ask size over the top 10 levels [base]',
    bid_ask_ratio Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'bid_volume_l10 / ask_volume_l10 [ratio]',
    obi_weighted Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'imbalance weighted by level and distance, top 10 [ratio]',
    obi_decay_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'imbalance weighted by exp(-bps from mid / 5), top 20 [ratio]',
    micro_price_imb Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'imbalance weighted by 0.5^(level - 1), top 10 [ratio]',
    pressure_score Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'distance-weighted bid size over ask size, top 10 [ratio]',
    obi_vwap Nullable(Float64) CODEC(ZSTD(1)) COMMENT '(VWAP of the top 10 of both sides - mid)/mid [ratio]',
    size_dispersion Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'sample standard deviation of the top 20 sizes of both sides [base]',
    size_cv Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size_dispersion over their mean [ratio]',
    obi_change_rate Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'obi_l5 - its mean over the previous 10 events [ratio]',
    weighted_mid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mid moved by the sizes at the best [quote]',
    weighted_mid_adjusted Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'weighted_mid + 0.5 obi_l1 spread/2; can leave the quote [quote]',
    ofi_l1 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'order flow imbalance of this event at the best level [base]',
    ofi_l5 Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same, summed over levels 1-5 [base]',
    ofi_l1_1s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'sum of ofi_l1 over the last second [base]',
    bid_depth_5bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'bid notional within 5 bps of mid [quote]',
    bid_depth_10bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'bid notional within 10 bps of mid [quote]',
    bid_depth_25bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'bid notional within 25 bps of mid [quote]',
    ask_depth_5bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ask notional within 5 bps of mid [quote]',
    ask_depth_10bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ask notional within 10 bps of mid [quote]',
    ask_depth_25bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ask notional within 25 bps of mid [quote]',
    obi_10bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'imbalance of the notionals within 10 bps [ratio]',
    obi_l1_z Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'obi_l1 against the previous 20 events [sd]',
    removal_ratio_1s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'lots removed / (added + removed) near the top over the last second [ratio]',
    liquidity_shift Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ln of the 10 bps depth over its mean of the previous 20 events [ln]',
    confidence Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'min(1, top-10 notional / (10 thin_notional)) [ratio]',
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
    ),
    PROJECTION statuses (
        SELECT venue, symbol, status, count(), min(received_at), max(received_at)
        GROUP BY venue, symbol, status
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
