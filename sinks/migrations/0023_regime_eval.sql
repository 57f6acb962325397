-- One row a model and mark: what its regimes are worth against the rules', as it was known then. Read it with FINAL.
CREATE TABLE IF NOT EXISTS regime_eval (
    model LowCardinality(String) COMMENT 'who is judged',
    forecaster LowCardinality(String) COMMENT 'by what: model-p, the probabilities it gave, or model-label',
    protocol LowCardinality(String) COMMENT 'digest of the protocol; what was counted under another one does not count',
    mark_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'the newest mark, a whole minute',
    decided_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it',
    instruments Int64 CODEC(ZSTD(1)) COMMENT 'how many have marks',
    marks Int64 CODEC(ZSTD(1)) COMMENT 'marks scored',
    verdict LowCardinality(String) COMMENT 'better, worse or not shown',
    e_better Float64 CODEC(ZSTD(1)) COMMENT 'evidence that the model is better; shown from 20 on with 200 marks',
    e_worse Float64 CODEC(ZSTD(1)) COMMENT 'evidence that it is worse',
    shown_at Nullable(DateTime64(9, 'UTC')) CODEC(ZSTD(1)) COMMENT 'the mark at which the verdict was first shown; null where nothing is',
    volatile_marks Int64 CODEC(ZSTD(1)) COMMENT 'marks scored of the target volatile',
    volatile_gain Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'by how much the model''s Brier score of it is lower than the rules'', in the mean',
    volatile_low Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'lower end of its 95 % interval; null below 20 marks',
    volatile_high Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'upper end of it',
    up_marks Int64 CODEC(ZSTD(1)) COMMENT 'marks scored of the target up',
    up_gain Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'by how much the model''s Brier score of it is lower than the rules'', in the mean',
    up_low Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'lower end of its 95 % interval; null below 20 marks',
    up_high Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'upper end of it',
    sentence String CODEC(ZSTD(3)) COMMENT 'the verdict in words'
)
ENGINE = ReplacingMergeTree(decided_at)
PARTITION BY toYYYYMM(mark_at)
ORDER BY (model, protocol, mark_at);
