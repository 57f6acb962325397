-- What came after each whole minute of received time (the mark), as `obflow evaluate regimes` scores it: over
-- (mark + 1 s, mark + 60 s], of the mids at whole seconds. Null where the book broke inside, another run began there or no
-- mid was known; a minute without a usable event, or not over yet, has no row. What was known at a mark is a join away:
-- ASOF with `regime_at` on decided_at <= mark.
--: source where the frames came from: live, replay or simulator
--: mark the whole minute
--: realised_variance sum of squared log returns from second to second
--: return_bps change of the mid [bps]
--: volatile whether the variance is above the median of the 60 minutes before; null with fewer than 30 of them
--: up whether the mid rose; null where it is what it was
CREATE OR REPLACE VIEW regime_marks AS
WITH
    seconds AS -- (second - 1 s, second] of a run: the mid after its last event, and whether the book broke
    (
        SELECT
            venue, symbol, source, run, source_log,
            intDiv(toUnixTimestamp64Nano(received_at) + 999999999, 1000000000) AS second,
            argMax(tuple(if(status = 'RESYNCING', NULL, mid)), source_offset).1 AS after,
            max(status = 'RESYNCING') AS broke
        FROM factors_once
        WHERE status IN ('OK', 'THIN', 'RESYNCING')
        GROUP BY venue, symbol, source, run, source_log, second
    ),
    steps AS -- from one second with an event to the next
    (
        SELECT
            venue, symbol, source, second, after,
            intDiv(second - 1, 60) * 60 AS minute,
            lagInFrame(after) OVER past AS before,
            broke OR isNull(before) OR isNull(after)
                OR run != lagInFrame(run) OVER past OR source_log != lagInFrame(source_log) OVER past AS broken,
            max(second) OVER (PARTITION BY venue, symbol, source) AS last_second
        FROM seconds
        WINDOW past AS (
            PARTITION BY venue, symbol, source ORDER BY second ASC, run ASC
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    ),
    minutes AS
    (
        SELECT
            venue, symbol, source, minute,
            max(broken) AS hole,
            if(hole, NULL, sum(pow(log(after) - log(before), 2))) AS realised_variance,
            if(hole, NULL, 1e4 * log(argMax(after, second) / argMin(before, second))) AS return_bps
        FROM steps
        WHERE second > minute + 1 AND last_second > minute + 60
        GROUP BY venue, symbol, source, minute
    )
SELECT
    venue,
    symbol,
    source,
    toDateTime(minute, 'UTC') AS mark,
    realised_variance,
    return_bps,
    if(
        count(realised_variance) OVER hour < 30,
        NULL,
        realised_variance > quantileExactInclusive(0.5)(realised_variance) OVER hour
    ) AS volatile,
    if(return_bps = 0, NULL, return_bps > 0) AS up
FROM minutes
WINDOW hour AS (
    PARTITION BY venue, symbol, source ORDER BY minute ASC RANGE BETWEEN 3600 PRECEDING AND 60 PRECEDING
);
