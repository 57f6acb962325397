-- How much of every instrument's time in the table its book could be trusted, by events.
--: events factor events
--: ok_ratio share of events with status OK [ratio]
--: thin events with status THIN
--: one_sided events with an empty side
--: crossed_or_locked events with status CROSSED or LOCKED
--: resyncing events of a book that was not LIVE
--: first_received_at received time of the first event
--: last_received_at received time of the last event
CREATE OR REPLACE VIEW book_quality AS
SELECT
    venue,
    symbol,
    source,
    sum(counted) AS events,
    sumIf(counted, status = 'OK') / sum(counted) AS ok_ratio,
    sumIf(counted, status = 'THIN') AS thin,
    sumIf(counted, status IN ('EMPTY', 'ONE_SIDED')) AS one_sided,
    sumIf(counted, status IN ('CROSSED', 'LOCKED')) AS crossed_or_locked,
    sumIf(counted, status = 'RESYNCING') AS resyncing,
    min(first_at) AS first_received_at,
    max(last_at) AS last_received_at
FROM
(
    SELECT
        venue, symbol, source, run, status,
        count() AS counted, min(received_at) AS first_at, max(received_at) AS last_at
    FROM factors_once
    GROUP BY venue, symbol, source, run, status
)
GROUP BY venue, symbol, source;
