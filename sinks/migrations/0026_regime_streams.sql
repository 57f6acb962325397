ALTER TABLE regimes ADD COLUMN IF NOT EXISTS stream LowCardinality(String) DEFAULT trimRight(concat(source, ' ', arm)) COMMENT 'identity: who judged: the source, and of a model its arm' AFTER run;
ALTER TABLE regimes COMMENT COLUMN IF EXISTS source 'who judged: rule, llm, or cache, which is an answer of the model that was given to the same question a moment ago';
ALTER TABLE regimes DROP PROJECTION IF EXISTS identities;
ALTER TABLE regimes ADD PROJECTION IF NOT EXISTS identities (
    SELECT venue, symbol, source_log, source_partition, stream, max(source_offset), max(window_end)
    GROUP BY venue, symbol, source_log, source_partition, stream
);
ALTER TABLE regimes MATERIALIZE PROJECTION identities;
