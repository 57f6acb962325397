-- The newest value that was told of each derivative, one by one, and when; of its live source where it has one.
--: funding_told_at received time of that funding rate; null where none was told
--: mark_told_at received time of that mark price; null where none was told
--: index_told_at received time of that index price; null where none was told
--: interest_told_at received time of that open interest; null where none was told
CREATE OR REPLACE VIEW latest_derivatives AS
SELECT
    told.venue AS venue,
    told.symbol AS symbol,
    told.source AS source,
    argMaxIf(told.funding_rate, told.place, told.funding_rate IS NOT NULL) AS funding_rate,
    argMaxIf(told.next_funding_at, told.place, told.next_funding_at IS NOT NULL) AS next_funding_at,
    argMaxIf(told.funding_interval_s, told.place, told.funding_interval_s IS NOT NULL) AS funding_interval_s,
    argMaxIf(told.mark_price, told.place, told.mark_price IS NOT NULL) AS mark_price,
    argMaxIf(told.index_price, told.place, told.index_price IS NOT NULL) AS index_price,
    argMaxIf(told.open_interest, told.place, told.open_interest IS NOT NULL) AS open_interest,
    argMax(told.contract_value, told.place) AS contract_value,
    argMax(told.contract_kind, told.place) AS contract_kind,
    maxIf(toNullable(told.received_at), told.funding_rate IS NOT NULL) AS funding_told_at,
    maxIf(toNullable(told.received_at), told.mark_price IS NOT NULL) AS mark_told_at,
    maxIf(toNullable(told.received_at), told.index_price IS NOT NULL) AS index_told_at,
    maxIf(toNullable(told.received_at), told.open_interest IS NOT NULL) AS interest_told_at
FROM
(
    SELECT *, (received_at, run, source_offset) AS place
    FROM derivatives_once
) AS told
GROUP BY told.venue, told.symbol, told.source;
