CREATE TABLE trades (received_at DateTime64(9, 'UTC'), venue LowCardinality(String), symbol LowCardinality(String), trade_id UInt64, price Float64, size Float64, side LowCardinality(String), tags Array(String), meta Map(String, String), raw String) ENGINE = MergeTree PARTITION BY toDate(received_at) ORDER BY (venue, symbol, received_at)

CREATE TABLE factors (received_at DateTime64(9, 'UTC'), venue LowCardinality(String), symbol LowCardinality(String), status LowCardinality(String), mid Nullable(Float64), spread_bps Nullable(Float64), obi_10bps Nullable(Float64), obi_l5 Nullable(Float64), ofi_l1 Nullable(Float64), bids Array(Float64), asks Array(Float64)) ENGINE = MergeTree ORDER BY (venue, symbol, received_at)

CREATE TABLE instruments (venue String, symbol String, tick Decimal(18, 8), listed Date, info JSON) ENGINE = ReplacingMergeTree ORDER BY (venue, symbol)

INSERT INTO trades SELECT toDateTime64('2024-01-01 00:00:00', 9, 'UTC') + toIntervalMillisecond(number * 250), if(number % 3, 'binance', 'bybit'), ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'][number % 3 + 1], number, 100 + sin(number / 7) * 5 + number % 3 * 1000, 1 + number % 11, if(number % 2, 'buy', 'sell'), ['a', toString(number % 4)], map('run', toString(number % 5), 'kind', 'x'), '{"p": ' || toString(number) || ', "q": [1, 2], "s": {"t": "u"}}' FROM numbers(4000)

INSERT INTO factors SELECT toDateTime64('2024-01-01 00:00:00', 9, 'UTC') + toIntervalMillisecond(number * 300), if(number % 3, 'binance', 'bybit'), ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'][number % 3 + 1], if(number % 10, 'OK', 'RESYNCING'), if(number % 10, 100 + cos(number / 9) + number % 3 * 1000, NULL), if(number % 10, 1 + number % 7 / 10, NULL), if(number % 10, sin(number / 5), NULL), if(number % 10, sin(number / 4), NULL), if(number % 10, cos(number / 3) * 10, NULL), [1.5, 2.5, number % 5], [3.5, 1.25] FROM numbers(3000)

INSERT INTO instruments SELECT if(number % 2, 'binance', 'bybit'), ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'][number % 3 + 1], 0.01, toDate('2020-01-01') + number, '{"a": {"b": 42}, "c": "d"}' FROM numbers(6)

CREATE VIEW trades_1m AS SELECT venue, symbol, toStartOfMinute(received_at) AS minute, argMin(price, received_at) AS open, max(price) AS high, min(price) AS low, argMax(price, received_at) AS close, sum(size) AS volume FROM trades GROUP BY venue, symbol, minute
