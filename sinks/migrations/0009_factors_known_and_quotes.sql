ALTER TABLE factors ADD COLUMN IF NOT EXISTS ofi_quotes Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'order flow imbalance over every update of the best quotes since the last [base]' AFTER ofi_l1_1s;
ALTER TABLE factors ADD COLUMN IF NOT EXISTS ofi_quotes_1s Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'sum of ofi_quotes over the last second [base]' AFTER ofi_quotes;
ALTER TABLE factors ADD COLUMN IF NOT EXISTS bid_known_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'from mid to where bids begin to be missing; null: nowhere [bps]' AFTER confidence;
ALTER TABLE factors ADD COLUMN IF NOT EXISTS ask_known_bps Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'from mid to where asks begin to be missing; null: nowhere [bps]' AFTER bid_known_bps;
