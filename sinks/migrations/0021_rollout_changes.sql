-- One row a change of how far a language model is rolled out. Evidence that nobody had is null.
CREATE TABLE IF NOT EXISTS rollout (
    step Int64 CODEC(Delta, ZSTD(1)) COMMENT 'number of the change; where one is told twice, the first holds',
    enabled Bool COMMENT 'whether any question is asked at all',
    live LowCardinality(String) COMMENT 'arm that is live: blue or green',
    candidate LowCardinality(String) COMMENT 'arm that is rolled out; the same where there is one',
    stage LowCardinality(String) COMMENT 'how far: off, shadow, canary, promoted or rolled_back',
    percent Int64 CODEC(ZSTD(1)) COMMENT 'share of the instruments for which the candidate is in force [%]',
    instruments Array(String) CODEC(ZSTD(3)) COMMENT 'of a canary, which those are, as venue:symbol',
    is_held Bool COMMENT 'whether the stage stays until somebody says otherwise',
    stage_since DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the stage began, by the controller''s clock',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when this was decided, by that clock',
    reason String CODEC(ZSTD(3)) COMMENT 'why, as a sentence',
    decided_by LowCardinality(String) COMMENT 'who: controller, or operator where it was asked for by hand',
    questions Int64 CODEC(ZSTD(1)) COMMENT 'of the candidate, that had ended in the stage before this change',
    failure Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'evidence then that too many questions have no valid answer in time',
    slow Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'evidence then that too many answers are slow',
    unfaithful Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'evidence then that too many answers name numbers that were not shown',
    worth LowCardinality(Nullable(String)) COMMENT 'of the candidate against the rules then: better, worse or not shown; null where nobody judged',
    e_better Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'evidence that it is better than the rules',
    e_worse Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'evidence that it is worse',
    marks Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'minutes that were judged [minutes]',
    guard LowCardinality(Nullable(String)) COMMENT 'guard that was crossed: failure, slow, unfaithful or cost; null where none was',
    request_id String CODEC(ZSTD(1)) COMMENT 'of what was asked for by hand and answered last; empty before',
    source_log LowCardinality(String) COMMENT 'identity: log the row came from, first 8 characters of its topic id',
    source_partition UInt16 CODEC(ZSTD(1)) COMMENT 'identity: partition of that log',
    source_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'identity: offset in that partition',
    stored_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when the insert was built: one value an insert',
    k_log LowCardinality(String) COMMENT 'resume: log read, first 8 characters of its topic id',
    k_part UInt16 CODEC(ZSTD(1)) COMMENT 'resume: partition of that log',
    k_off UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'resume: offset in that partition',
    k_batch UInt64 CODEC(ZSTD(1)) COMMENT 'resume: number of the insert',
    PROJECTION resume (SELECT k_log, k_part, max(k_off) GROUP BY k_log, k_part),
    PROJECTION identities (
        SELECT source_log, source_partition, max(source_offset), max(decided_at)
        GROUP BY source_log, source_partition
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(stored_at)
ORDER BY (source_log, source_partition, source_offset)
SETTINGS non_replicated_deduplication_window = 100, ttl_only_drop_parts = 1;

ALTER TABLE regimes ADD COLUMN IF NOT EXISTS arm LowCardinality(String) COMMENT 'arm of the rollout that answered, blue or green; empty of rules and in records of an older version' AFTER model;
