-- One row a step of an episode of arbitrage. No transfer, funding or risk of one leg alone is counted.
CREATE TABLE IF NOT EXISTS arbitrage (
    venue LowCardinality(String) COMMENT 'where to buy',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol there',
    canonical LowCardinality(String) COMMENT 'base, quote and kind of the contract',
    sell_venue LowCardinality(String) COMMENT 'where to sell',
    sell_symbol LowCardinality(String) COMMENT 'the venue''s own symbol there',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    action LowCardinality(String) COMMENT 'open, peak (profit a tenth above the last told) or close',
    reason LowCardinality(String) COMMENT 'found; gone or not_fresh',
    episode Int64 CODEC(ZSTD(1)) COMMENT 'number of the episode of this pair',
    step Int64 CODEC(ZSTD(1)) COMMENT 'number of the step in its episode',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the record behind the newer quote was received',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it',
    arbitrage_set LowCardinality(String) COMMENT 'version of the rule and digest of its settings',
    buy_age_ms Float64 CODEC(ZSTD(1)) COMMENT 'age of the book where to buy [ms]',
    sell_age_ms Float64 CODEC(ZSTD(1)) COMMENT 'age of the book where to sell [ms]',
    opened_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the episode opened',
    buy_taker_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'fee counted where to buy [bps]',
    sell_taker_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'fee counted where to sell [bps]',
    size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'largest size whose every lot clears the bar; of inverse contracts in quote units [base]',
    buy_vwap Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mean price paid [quote]',
    sell_vwap Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'mean price got [quote]',
    gross_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what selling brings over what buying costs, without fees [bps]',
    net_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the same with fees [bps]',
    profit Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'after fees; of inverse contracts in base units [quote]',
    notional Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what buying costs before fees [quote]',
    capital_profit Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'profit of what the capital in the settings buys [quote]',
    depth_limited Nullable(Bool) COMMENT 'whether a book ended before the bar did',
    run LowCardinality(String) COMMENT 'run of the producer behind the quote',
    stream LowCardinality(String) COMMENT 'identity: the canonical symbol and where to sell',
    source_log LowCardinality(String) COMMENT 'identity: log of the quote that made the step, first 8 characters of its topic id',
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
ORDER BY (canonical, venue, sell_venue, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
