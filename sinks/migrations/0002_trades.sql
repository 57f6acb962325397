-- One row a public trade. price and size are the one correctly rounded division of ticks and lots by the grid.
CREATE TABLE IF NOT EXISTS trades (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    source LowCardinality(String) COMMENT 'live, replay or simulator',
    trade_id String CODEC(ZSTD(1)) COMMENT 'the venue''s id',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'our time at the socket',
    exchange_at Nullable(DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)) COMMENT 'the venue''s time; null where it gives none',
    side LowCardinality(String) COMMENT 'side of the aggressor: buy or sell',
    price Float64 CODEC(ZSTD(1)) COMMENT 'price [quote]',
    size Float64 CODEC(ZSTD(1)) COMMENT 'size, never negative [base; quote on inverse contracts]',
    price_ticks Int64 CODEC(Delta, ZSTD(1)) COMMENT 'price in ticks',
    size_lots Int64 CODEC(ZSTD(1)) COMMENT 'signed size in lots; + is an aggressive buyer',
    tick_size LowCardinality(String) COMMENT 'price of one tick, decimal',
    lot_size LowCardinality(String) COMMENT 'size of one lot, decimal',
    contract_value LowCardinality(String) COMMENT 'amount of one contract, decimal; 1 on spot',
    contract_kind LowCardinality(String) COMMENT 'how a size becomes a notional',
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
