-- One row a stretch of a log that a table has no rows of and never will: read it with FINAL.
CREATE TABLE IF NOT EXISTS log_holes (
    table_name LowCardinality(String) COMMENT 'table that the log feeds',
    topic LowCardinality(String) COMMENT 'name of the topic on the broker',
    k_log LowCardinality(String) COMMENT 'log, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'partition of that log',
    kind LowCardinality(String) COMMENT 'expired: retention deleted the records before they were read; absent: the log has none there',
    first_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'first offset of the stretch',
    end_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'first offset past it',
    noted_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when a sink met it'
)
ENGINE = ReplacingMergeTree(noted_at)
ORDER BY (table_name, k_log, k_part, kind, first_offset);
