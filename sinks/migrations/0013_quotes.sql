-- One row a quote: the top of a maintained book, by canonical symbol. A null number is "no value".
CREATE TABLE IF NOT EXISTS quotes (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    canonical LowCardinality(String) COMMENT 'base, quote and kind of the contract: what two venues share',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    status LowCardinality(String) COMMENT 'state of the book',
    epoch Int64 CODEC(ZSTD(1)) COMMENT 'of its producer',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the record was received behind which the book is so',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it',
    tick_size LowCardinality(String) COMMENT 'price of one tick, decimal',
    lot_size LowCardinality(String) COMMENT 'size of one lot, decimal',
    contract_value LowCardinality(String) COMMENT 'base (inverse: quote) amount of one contract, decimal',
    contract_kind LowCardinality(String) COMMENT 'spot, linear, inverse or option',
    run LowCardinality(String) COMMENT 'run of the producer behind it',
    best_bid Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'highest bid price [quote]',
    best_bid_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size there; on inverse contracts in quote units [base]',
    best_ask Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'lowest ask price [quote]',
    best_ask_size Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'size there; on inverse contracts in quote units [base]',
    bid_levels Int64 CODEC(ZSTD(1)) COMMENT 'bid levels in the quote, at most 20',
    ask_levels Int64 CODEC(ZSTD(1)) COMMENT 'ask levels in the quote, at most 20',
    source_log LowCardinality(String) COMMENT 'identity: log of the record behind it, first 8 characters of its topic id',
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
        SELECT venue, symbol, source_log, source_partition, max(source_offset), max(received_at)
        GROUP BY venue, symbol, source_log, source_partition
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (canonical, venue, symbol, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
