-- Every stored run of an instrument, table by table: when it was, and during which times a newer one counts instead.
-- A run is one life of a producer, or one replay of a recording. A newer one of the same instrument and source counts
-- where it was; and where an instrument has a live source, that alone counts (`beside_live` is true of the others).
--: stored_in table: factors, trades, derivatives or regimes
--: source where the frames came from: live, replay or simulator
--: run run of the producer behind it
--: stored_rows rows
--: first_at received time of the first row; end of the first window of regimes
--: last_at the same of the last row
--: newer times, first and last, during which a newer run counts instead
--: beside_live whether the instrument has a live source, which counts alone
CREATE OR REPLACE VIEW runs AS
SELECT
    stored_in,
    venue,
    symbol,
    source,
    run,
    stored_rows,
    first_at,
    last_at,
    arrayMap(
        other -> (other.2, other.3),
        arrayFilter(
            other -> other.1 > run AND other.2 <= last_at AND other.3 >= first_at,
            groupArray((run, first_at, last_at)) OVER (PARTITION BY stored_in, venue, symbol, source)
        )
    ) AS newer,
    source != 'live' AND max(source = 'live') OVER (PARTITION BY stored_in, venue, symbol) AS beside_live
FROM
(
    SELECT
        'factors' AS stored_in, venue, symbol, source, run,
        count() AS stored_rows, min(received_at) AS first_at, max(received_at) AS last_at
    FROM factors
    GROUP BY venue, symbol, source, run
    UNION ALL
    SELECT 'trades', venue, symbol, source, run, count(), min(received_at), max(received_at)
    FROM trades
    GROUP BY venue, symbol, source, run
    UNION ALL
    SELECT 'derivatives', venue, symbol, source, run, count(), min(received_at), max(received_at)
    FROM derivatives
    GROUP BY venue, symbol, source, run
    UNION ALL
    SELECT 'regimes', venue, symbol, feed_source, run, count(), min(window_end), max(window_end)
    FROM regimes
    GROUP BY venue, symbol, feed_source, run
);
