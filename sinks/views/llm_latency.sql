-- How long requests to language models took until their outcome was known, a day and model. One that was given up counts
-- with the time until then; what was never asked does not.
--: day of the request's departure, UTC
--: requests how many left
--: failed those without a valid answer, in time
--: p50_ms half of them took no longer [ms]
--: p95_ms nineteen of twenty took no longer [ms]
--: p99_ms 99 of 100 took no longer [ms]
CREATE OR REPLACE VIEW llm_latency AS
SELECT
    toDate(started_at, 'UTC') AS day,
    model,
    count() AS requests,
    countIf(outcome != 'ok') AS failed,
    quantileExactInclusive(0.5)(latency_ms) AS p50_ms,
    quantileExactInclusive(0.95)(latency_ms) AS p95_ms,
    quantileExactInclusive(0.99)(latency_ms) AS p99_ms
FROM llm_calls
WHERE outcome != 'not_asked'
GROUP BY day, model;
