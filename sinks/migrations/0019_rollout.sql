ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS arm LowCardinality(String) COMMENT 'arm of the rollout that was asked, blue or green; empty in records of an older version' AFTER run;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS key_id LowCardinality(String) COMMENT 'first 8 hexadecimal characters of the SHA-256 of the key it was sent with; empty where none was' AFTER arm;
