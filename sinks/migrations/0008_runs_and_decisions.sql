ALTER TABLE factors ADD COLUMN IF NOT EXISTS decided_at DateTime64(9, 'UTC') DEFAULT received_at CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it' AFTER exchange_at;
ALTER TABLE factors ADD COLUMN IF NOT EXISTS run LowCardinality(String) DEFAULT '' COMMENT 'run of the producer behind it; empty before there were names' AFTER factor_set;
ALTER TABLE trades ADD COLUMN IF NOT EXISTS run LowCardinality(String) DEFAULT '' COMMENT 'run of the producer behind it; empty before there were names' AFTER contract_kind;
ALTER TABLE feed_status ADD COLUMN IF NOT EXISTS run LowCardinality(String) DEFAULT '' COMMENT 'run of the producer behind it; empty before there were names' AFTER detail;
ALTER TABLE regimes ADD COLUMN IF NOT EXISTS decided_at Nullable(DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)) COMMENT 'when it could first be known: join on it; null where its record did not say' AFTER cost_usd;
ALTER TABLE regimes ADD COLUMN IF NOT EXISTS run LowCardinality(String) DEFAULT '' COMMENT 'run of the producer behind it; empty before there were names' AFTER decided_at;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS decided_at Nullable(DateTime64(9, 'UTC')) CODEC(Delta, ZSTD(1)) COMMENT 'when the outcome could first be known; null where its record did not say' AFTER response;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS run LowCardinality(String) DEFAULT '' COMMENT 'run of the producer behind it; empty before there were names' AFTER decided_at;
ALTER TABLE regimes COMMENT COLUMN latency_ms 'from the close of the window to the publication of the answer [ms]';
