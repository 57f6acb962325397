-- A minute of every instrument, from the events whose book could be trusted.
--: minute first moment of the minute, by received time
--: events events with status OK or THIN
--: open first mid of the minute [quote]
--: high highest mid [quote]
--: low lowest mid [quote]
--: close last mid [quote]
--: mean_spread_bps mean spread [bps]
--: mean_obi_l1 mean of obi_l1 [ratio]
--: mean_obi_l5 mean of obi_l5 [ratio]
--: total_ofi_l1 sum of ofi_l1 [base]
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
