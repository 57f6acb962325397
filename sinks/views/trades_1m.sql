-- A minute of every instrument's public trades.
--: minute first moment of the minute, by received time
--: trades trades
--: open first price of the minute [quote]
--: high highest price [quote]
--: low lowest price [quote]
--: close last price [quote]
--: volume sum of sizes [base; quote on inverse contracts]
--: buy_volume the same of aggressive buyers [base; quote on inverse contracts]
CREATE OR REPLACE VIEW trades_1m AS
SELECT
    venue,
    symbol,
    source,
    toStartOfMinute(received_at) AS minute,
    count() AS trades,
    argMin(price, (received_at, run, source_offset)) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, (received_at, run, source_offset)) AS close,
    sum(size) AS volume,
    sumIf(size, side = 'buy') AS buy_volume
FROM trades_once
GROUP BY venue, symbol, source, minute;
