-- One row a message that told of a derivative. A null number was not told by that message; it is not "none".
CREATE TABLE IF NOT EXISTS derivatives (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    source LowCardinality(String) COMMENT 'live, replay or simulator',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'our time at the socket',
    exchange_at Nullable(DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)) COMMENT 'the venue''s time; null where it gives none',
    funding_rate Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what longs pay shorts at the next funding; Deribit: now, for 8 hours [share of the notional]',
    next_funding_at Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when that is',
    funding_interval_s Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'time between two fundings [s]',
    mark_price Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what positions are valued at [quote]',
    index_price Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'price of the underlying [quote]',
    open_interest Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'contracts that are open, each worth contract_value [unit of the book''s sizes]',
    contract_value LowCardinality(String) COMMENT 'base (linear) or quote (inverse) amount of one contract, decimal',
    contract_kind LowCardinality(String) COMMENT 'how a size becomes a notional',
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
    ),
    PROJECTION runs (
        SELECT venue, symbol, source, run, count(), min(received_at), max(received_at) GROUP BY venue, symbol, source, run
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, received_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
