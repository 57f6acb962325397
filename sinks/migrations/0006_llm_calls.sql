-- One row a request to the language model. A question may take several; null tokens were not reported.
CREATE TABLE IF NOT EXISTS llm_calls (
    venue LowCardinality(String) COMMENT 'exchange id',
    symbol LowCardinality(String) COMMENT 'the venue''s own symbol',
    feed_source LowCardinality(String) COMMENT 'where the frames came from: live, replay or simulator',
    call_id String CODEC(ZSTD(1)) COMMENT 'of this request alone',
    attempt Int64 CODEC(ZSTD(1)) COMMENT '1 for a question''s first request',
    window_end DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'end of the window that was asked about',
    started_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the request left',
    outcome LowCardinality(String) COMMENT 'what became of it; ok is a valid verdict, in time, published',
    endpoint LowCardinality(String) COMMENT 'base URL, without credentials',
    model LowCardinality(String) COMMENT 'model asked',
    prompt_version LowCardinality(String) COMMENT 'version of the instructions',
    prompt_hash LowCardinality(String) COMMENT 'hash of the instructions',
    request_hash String CODEC(ZSTD(1)) COMMENT 'hash of the user message: equal questions have equal ones',
    latency_ms Float64 CODEC(ZSTD(1)) COMMENT 'until the outcome was known [ms]',
    status Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'HTTP status; null where none was received',
    input_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'as the endpoint reports',
    output_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'as the endpoint reports',
    cost_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'by the configured prices [USD]',
    detail String CODEC(ZSTD(3)) COMMENT 'the cause, where the outcome is not ok',
    response String CODEC(ZSTD(3)) COMMENT 'the answer''s text, cut, never trusted as text',
    source_log LowCardinality(String) COMMENT 'identity: log the row came from, first 8 characters of its topic id',
    source_partition UInt16 CODEC(ZSTD(1)) COMMENT 'identity: partition of that log',
    source_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'identity: offset in that partition',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert',
    INDEX ix_started started_at TYPE minmax GRANULARITY 1,
    PROJECTION resume (SELECT k_log, k_part, max(k_off) GROUP BY k_log, k_part),
    PROJECTION identities (
        SELECT venue, symbol, source_log, source_partition, max(source_offset), max(started_at)
        GROUP BY venue, symbol, source_log, source_partition
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (venue, symbol, started_at, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;
