-- One row a message that could not be used. The same letter may arrive twice: read this table with FINAL.
CREATE TABLE IF NOT EXISTS dead_letters (
    letter_id String CODEC(ZSTD(1)) COMMENT 'identity: with role: the same letter written again is the same letter',
    role LowCardinality(String) COMMENT 'who refused the message',
    reason LowCardinality(String) COMMENT 'class name of the error',
    error String CODEC(ZSTD(3)) COMMENT 'the error''s sentence',
    venue LowCardinality(String) COMMENT 'where known, else empty',
    symbol LowCardinality(String) COMMENT 'where known, else empty',
    source_topic LowCardinality(String) COMMENT 'topic the message lay in; empty for frames',
    source_partition Int32 CODEC(ZSTD(1)) COMMENT 'its partition; -1 for frames',
    source_offset Int64 CODEC(ZSTD(1)) COMMENT 'its offset; -1 for frames',
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the refused message was received',
    payload String CODEC(ZSTD(3)) COMMENT 'its bytes, cut at 64 KiB',
    payload_bytes Int64 CODEC(ZSTD(1)) COMMENT 'its full length',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert'
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(stored_at)
ORDER BY (letter_id, role)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
