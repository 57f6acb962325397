ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS cached_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of the input, those the endpoint had kept; null where it does not say' AFTER output_tokens;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS reasoning_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'of the output, those that were thought and not said; null where the endpoint does not say' AFTER cached_tokens;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS reserved_usd Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'what the budget was charged, since usage is not known; else null [USD]' AFTER cost_usd;
ALTER TABLE llm_calls ADD COLUMN IF NOT EXISTS reserved_tokens Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'the same in tokens; else null' AFTER reserved_usd;
