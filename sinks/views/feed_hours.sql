-- What each feed was like, hour by hour: what feeds are compared by. Several producers and restarts are summed up exactly,
-- and so can be longer times and whole venues, from `feed_quality` in the same way.
--: hour begin of the hour
--: told_s how long of it was told of, all producers together [s]
--: loss_rate share of what the venue numbered that did not come; null where it does not number [ratio]
--: restarts times that it began its numbers anew: how much was lost then is not known
--: reopened times that its connection, lost before, stood again
--: reopen_rate share of the tries of that which did; null without one [ratio]
--: clock_ahead_ms how far the venue's clock was ahead of ours, in the middle of what its answers allow; null without one, or where a clock was set [ms]
--: clock_within_ms half of what they leave open: it is right to so much [ms]
--: depths_measured updates of the book that name the exchange's time
--: depth_avg_ms mean time from the exchange to the socket, of updates of the book, by the clocks of both as they stood; null without one [ms]
--: depth_p50_ms the same, median, within 0.8 % [ms]
--: depth_p95_ms the same, 95th percentile, within 0.8 % [ms]
--: depth_p99_ms the same, 99th percentile, within 0.8 % [ms]
--: trades_measured trades that name the exchange's time
--: trade_avg_ms mean time from the exchange to the socket, of trades, by the clocks of both as they stood; null without one [ms]
--: trade_p50_ms the same, median, within 0.8 % [ms]
--: trade_p95_ms the same, 95th percentile, within 0.8 % [ms]
--: trade_p99_ms the same, 99th percentile, within 0.8 % [ms]
CREATE OR REPLACE VIEW feed_hours AS
WITH
    hours AS
    (
        SELECT
            venue, symbol, source, toStartOfHour(received_at) AS hour,
            sum(dateDiff('millisecond', began_at, received_at)) / 1000 AS told_s,
            sum(quality.updates) AS updates,
            sum(quality.gaps) AS gaps,
            sum(ids_seen) AS seen,
            sum(ids_lost) AS lost,
            sum(quality.restarts) AS restarts,
            sum(quality.reopened) AS reopened,
            sum(reopen_failed) AS failed,
            max(clock_low_ns) AS low_ns,
            min(clock_high_ns) AS high_ns,
            sumMap(depth_latency_us, depth_latency_counts) AS depth_way,
            sum(depth_latency_sum_us) AS depth_sum_us,
            arraySum(depth_way.2) AS depths_measured,
            sumMap(trade_latency_us, trade_latency_counts) AS trade_way,
            sum(trade_latency_sum_us) AS trade_sum_us,
            arraySum(trade_way.2) AS trades_measured
        FROM feed_quality AS quality
        GROUP BY venue, symbol, source, hour
    )
SELECT
    venue,
    symbol,
    source,
    hour,
    told_s,
    updates,
    gaps,
    if(seen + lost > 0, lost / (seen + lost), NULL) AS loss_rate,
    restarts,
    reopened,
    if(reopened + failed > 0, reopened / (reopened + failed), NULL) AS reopen_rate,
    if(low_ns <= high_ns, (low_ns + high_ns) / 2e6, NULL) AS clock_ahead_ms,
    if(low_ns <= high_ns, (high_ns - low_ns) / 2e6, NULL) AS clock_within_ms,
    depths_measured,
    if(depths_measured > 0, depth_sum_us / depths_measured / 1000, NULL) AS depth_avg_ms,
    if(depths_measured > 0, depth_way.1[arrayFirstIndex(upto -> upto >= 0.5 * depths_measured, arrayCumSum(depth_way.2))] / 1000, NULL) AS depth_p50_ms,
    if(depths_measured > 0, depth_way.1[arrayFirstIndex(upto -> upto >= 0.95 * depths_measured, arrayCumSum(depth_way.2))] / 1000, NULL) AS depth_p95_ms,
    if(depths_measured > 0, depth_way.1[arrayFirstIndex(upto -> upto >= 0.99 * depths_measured, arrayCumSum(depth_way.2))] / 1000, NULL) AS depth_p99_ms,
    trades_measured,
    if(trades_measured > 0, trade_sum_us / trades_measured / 1000, NULL) AS trade_avg_ms,
    if(trades_measured > 0, trade_way.1[arrayFirstIndex(upto -> upto >= 0.5 * trades_measured, arrayCumSum(trade_way.2))] / 1000, NULL) AS trade_p50_ms,
    if(trades_measured > 0, trade_way.1[arrayFirstIndex(upto -> upto >= 0.95 * trades_measured, arrayCumSum(trade_way.2))] / 1000, NULL) AS trade_p95_ms,
    if(trades_measured > 0, trade_way.1[arrayFirstIndex(upto -> upto >= 0.99 * trades_measured, arrayCumSum(trade_way.2))] / 1000, NULL) AS trade_p99_ms
FROM hours;
