-- How good each feed was, a row a run of an instrument: how long its book was LIVE, what broke it, how fast it was whole
-- again, how long trades took from the exchange, what share of messages was lost, how often lost connections came back.
--: first_at received time of the first status
--: last_at received time of the newest status, trade or factor event
--: live_ratio share of that time with a LIVE book [ratio]
--: gaps times a book was broken by a missing update
--: disconnects times it was broken by a lost connection
--: recoveries times a book that had been LIVE became LIVE again
--: recovery_p50_s median time from the break to the LIVE book, null without one [s]
--: recovery_max_s longest such time [s]
--: updates factor events: one an update of the book
--: gaps_per_million gaps in a million updates; null without an update
--: trades trades that name the exchange's time
--: latency_avg_ms mean time from the exchange to the socket, of trades, by the clocks of both as they stood [ms]
--: latency_p50_ms the same, median [ms]
--: latency_p95_ms the same, 95th percentile [ms]
--: latency_p99_ms the same, 99th percentile [ms]
--: loss_rate share of what the venue numbered that did not come, while the producer ran; null where it is not told [ratio]
--: reopened times that its connection, lost before, stood again; null where it is not told
--: reopen_rate share of the tries of that which did; null without one [ratio]
--: clock_ahead_ms how far the venue's clock was ahead of ours, as its newest answer says, give or take half a second; null without one [ms]
CREATE OR REPLACE VIEW feeds AS
WITH
    changes AS
    (
        SELECT
            venue, symbol, source, run, state, reason, received_at, k_off,
            leadInFrame(toNullable(received_at)) OVER (
                PARTITION BY venue, symbol, source, run ORDER BY received_at, k_off
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS next_at
        FROM feed_status
    ),
    ends AS
    (
        SELECT venue, symbol, source, run, max(last_at) AS newest_at
        FROM runs
        WHERE stored_in IN ('factors', 'trades')
        GROUP BY venue, symbol, source, run
    ),
    states AS
    (
        SELECT
            venue, symbol, source, run, state, reason, received_at, k_off,
            coalesce(next_at, greatest(received_at, newest_at)) AS until
        FROM changes
        LEFT JOIN ends USING (venue, symbol, source, run)
    ),
    lives AS
    (
        SELECT
            venue, symbol, source, run, until,
            leadInFrame(toNullable(received_at)) OVER (
                PARTITION BY venue, symbol, source, run ORDER BY received_at, k_off
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS again_at
        FROM states
        WHERE state = 'live'
    ),
    recovered AS
    (
        SELECT
            venue, symbol, source, run,
            countIf(again_at > until) AS recoveries,
            quantileExactOrNullIf(0.5)(dateDiff('millisecond', until, again_at), again_at > until) / 1000 AS recovery_p50_s,
            maxOrNullIf(dateDiff('millisecond', until, again_at), again_at > until) / 1000 AS recovery_max_s
        FROM lives
        GROUP BY venue, symbol, source, run
    ),
    told AS
    (
        SELECT
            venue, symbol, source, run,
            min(received_at) AS first_at,
            max(until) AS last_at,
            sumIf(dateDiff('millisecond', received_at, until), state = 'live') AS live_ms,
            countIf(state = 'invalid' AND reason = 'gap') AS gaps,
            countIf(state IN ('invalid', 'disconnected') AND reason = 'disconnect') AS disconnects
        FROM states
        GROUP BY venue, symbol, source, run
    ),
    events AS
    (
        SELECT venue, symbol, source, run, count() AS updates
        FROM factors
        GROUP BY venue, symbol, source, run
    ),
    way AS
    (
        SELECT
            venue, symbol, source, run,
            count() AS trades,
            avg(dateDiff('microsecond', exchange_at, received_at)) / 1000 AS latency_avg_ms,
            quantilesTDigest(0.5, 0.95, 0.99)(dateDiff('microsecond', exchange_at, received_at)) AS quantiles_us
        FROM trades
        WHERE isNotNull(exchange_at)
        GROUP BY venue, symbol, source, run
    ),
    quality AS
    (
        SELECT
            venue, symbol, source, run,
            sum(ids_seen) AS seen,
            sum(ids_lost) AS lost,
            sum(toNullable(reopened)) AS stood,
            sum(toNullable(reopen_failed)) AS failed,
            argMax(clock_low_ns, (isNotNull(clock_low_ns), received_at)) AS low_ns,
            argMax(clock_high_ns, (isNotNull(clock_high_ns), received_at)) AS high_ns
        FROM feed_quality
        GROUP BY venue, symbol, source, run
    )
SELECT
    venue,
    symbol,
    source,
    run,
    first_at,
    last_at,
    if(last_at > first_at, live_ms / dateDiff('millisecond', first_at, last_at), NULL) AS live_ratio,
    gaps,
    disconnects,
    recoveries,
    recovery_p50_s,
    recovery_max_s,
    updates,
    if(updates > 0, 1e6 * gaps / updates, NULL) AS gaps_per_million,
    trades,
    if(trades > 0, latency_avg_ms, NULL) AS latency_avg_ms,
    if(trades > 0, quantiles_us[1] / 1000, NULL) AS latency_p50_ms,
    if(trades > 0, quantiles_us[2] / 1000, NULL) AS latency_p95_ms,
    if(trades > 0, quantiles_us[3] / 1000, NULL) AS latency_p99_ms,
    if(seen + lost > 0, lost / (seen + lost), NULL) AS loss_rate,
    stood AS reopened,
    if(stood + failed > 0, stood / (stood + failed), NULL) AS reopen_rate,
    (low_ns + high_ns) / 2e6 AS clock_ahead_ms
FROM told
LEFT JOIN recovered USING (venue, symbol, source, run)
LEFT JOIN events USING (venue, symbol, source, run)
LEFT JOIN way USING (venue, symbol, source, run)
LEFT JOIN quality USING (venue, symbol, source, run);
