-- What was known of the regime at a moment t: the row of each judge with decided_at <= t < until.
-- A judgement is known from its decision on, not from its window's end: a model answers seconds later. Join on
-- decided_at (ASOF) or ask `WHERE decided_at <= t AND t < until`. Judgements that do not say when they were decided, of
-- records of version 1, are left out. Which of the judges was in force at t says `regime_in_force_at`.
--: until when its judge said something else; far in the future where it did not yet
CREATE OR REPLACE VIEW regime_at AS
WITH
    said AS
    (
        SELECT *, assumeNotNull(decided_at) AS known_from FROM regimes_once WHERE isNotNull(decided_at)
    )
SELECT
    venue,
    symbol,
    feed_source,
    source,
    arm,
    label,
    score,
    confidence,
    outlook,
    summary,
    window_end,
    known_from AS decided_at,
    leadInFrame(known_from, 1, toDateTime64('2262-01-01 00:00:00', 9, 'UTC')) OVER (
        PARTITION BY venue, symbol, feed_source, source = 'rule', arm
        ORDER BY known_from ASC, source_offset ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until,
    run
FROM said;
