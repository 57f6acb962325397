-- A minute of every instrument, from the events whose book could be trusted.
CREATE OR REPLACE VIEW factors_1m AS
SELECT
    venue,
    symbol,
    source,
    toStartOfMinute(received_at) AS minute,
    count() AS events,
    argMin(mid, (received_at, run, source_offset)) AS open,
    max(mid) AS high,
    min(mid) AS low,
    argMax(mid, (received_at, run, source_offset)) AS close,
    avg(spread_bps) AS mean_spread_bps,
    avg(obi_l1) AS mean_obi_l1,
    avg(obi_l5) AS mean_obi_l5,
    sum(ofi_l1) AS total_ofi_l1
FROM factors_once
WHERE status IN ('OK', 'THIN')
GROUP BY venue, symbol, source, minute;
