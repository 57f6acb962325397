-- Which sink owns a partition of a table's log: the highest claim does, and inserts of a lower one store nothing.
CREATE TABLE IF NOT EXISTS sink_claims (
    table_name LowCardinality(String) COMMENT 'table that the log feeds',
    k_log LowCardinality(String) COMMENT 'log, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'partition of that log',
    claim SimpleAggregateFunction(max, String) CODEC(ZSTD(1)) COMMENT 'rising number, 16 hexadecimal digits, then the name of who claims',
    claimed_at SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when'
)
ENGINE = AggregatingMergeTree
ORDER BY (table_name, k_log, k_part);
