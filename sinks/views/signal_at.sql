-- What was known of each kind of signal at a moment t: the row with decided_at <= t < until.
-- Join on decided_at (ASOF) or ask `WHERE decided_at <= t AND t < until`. A kind without a row was FLAT. An opening whose
-- close never came, since its log ended, is open until its horizon.
--: state long, short or flat
--: until when the next step was known, or the opening's horizon had passed; of a close far in the future before that
CREATE OR REPLACE VIEW signal_at AS
SELECT
    venue,
    symbol,
    feed_source,
    kind,
    if(action = 'open', side, 'flat') AS state,
    z,
    confidence,
    confidence_n,
    edge_bps,
    cost_bps,
    tradable,
    decided_at,
    leadInFrame(
        decided_at,
        1,
        if(
            action = 'open',
            addMilliseconds(decided_at, toInt64(horizon_ms)),
            toDateTime64('2262-01-01 00:00:00', 9, 'UTC')
        )
    ) OVER (
        PARTITION BY venue, symbol, feed_source, kind
        ORDER BY decided_at ASC, source_offset ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until,
    signal_set,
    run
FROM signals_once;
