SELECT 1

SELECT venue, symbol, count() AS events, round(avg(obi_l5), 3) AS imbalance, round(avg(spread_bps), 3) AS spread_bps FROM factors WHERE status = 'OK' GROUP BY ALL ORDER BY ALL

SHOW TABLES

SHOW TABLES FROM default LIKE 'tr%'

SHOW TABLES WHERE name ILIKE '%fact%'

SHOW FULL TABLES

SHOW DATABASES

SHOW COLUMNS FROM trades

SHOW COLUMNS FROM trades LIKE 's%'

SHOW INDEXES FROM trades

SHOW CREATE TABLE trades

SHOW CREATE VIEW trades_1m

SHOW CREATE DATABASE default

SHOW FUNCTIONS LIKE 'quantileTDig%'

SHOW SETTINGS LIKE 'max_block_size'

DESCRIBE TABLE factors

DESC factors

DESCRIBE TABLE (SELECT symbol, avg(price) AS p FROM trades GROUP BY symbol)

DESCRIBE numbers(3)

EXISTS TABLE trades

EXISTS trades_1m

EXISTS DATABASE nowhere

EXISTS VIEW trades_1m

EXPLAIN SELECT count() FROM trades WHERE symbol = 'BTCUSDT'

EXPLAIN indexes = 1 SELECT count() FROM trades WHERE symbol = 'BTCUSDT'

EXPLAIN AST SELECT 1

EXPLAIN SYNTAX SELECT * FROM trades WHERE price > 100 AND size > 1

EXPLAIN QUERY TREE SELECT sum(size) FROM trades

EXPLAIN PIPELINE SELECT venue, count() FROM trades GROUP BY venue SETTINGS max_threads = 1

EXPLAIN ESTIMATE SELECT * FROM trades

SELECT * FROM trades ORDER BY trade_id LIMIT 5

SELECT * EXCEPT (raw, meta) FROM trades ORDER BY trade_id LIMIT 3 FORMAT JSONEachRow

SELECT * REPLACE (round(price) AS price) FROM trades ORDER BY trade_id LIMIT 3

SELECT COLUMNS('^p|^s') FROM trades ORDER BY trade_id LIMIT 3

SELECT COLUMNS('price|size') APPLY(avg) APPLY(round) FROM trades

SELECT COLUMNS(price, size) APPLY(x -> round(x, 1)) FROM trades ORDER BY trade_id LIMIT 3

SELECT symbol, quantile(0.5)(price), quantiles(0.1, 0.9)(price), median(price), quantileExact(price) FROM trades GROUP BY symbol ORDER BY symbol

SELECT symbol, countIf(side = 'buy') AS buys, sumIf(size, side = 'sell') AS sold, avgIf(price, size > 3) FROM trades GROUP BY symbol ORDER BY symbol

SELECT symbol, quantilesIf(0.25, 0.75)(price, side = 'buy') FROM trades GROUP BY symbol ORDER BY symbol

SELECT sum(size) FILTER (WHERE side = 'buy') AS bought, count(*) FILTER (WHERE price > 1000) FROM trades

SELECT symbol, argMin(price, received_at) AS open, argMax(price, received_at) AS close FROM trades GROUP BY symbol ORDER BY symbol

SELECT toStartOfMinute(received_at) AS minute, symbol, sum(price * size) / sum(size) AS vwap FROM trades GROUP BY minute, symbol ORDER BY minute, symbol

SELECT toStartOfInterval(received_at, INTERVAL 5 MINUTE) AS t, count() FROM trades GROUP BY t ORDER BY t

SELECT minute, symbol, open, high, low, close, volume FROM trades_1m ORDER BY minute, symbol LIMIT 10

SELECT symbol, price, avg(price) OVER (PARTITION BY symbol ORDER BY received_at ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS sma FROM trades ORDER BY trade_id LIMIT 10

SELECT symbol, price, row_number() OVER w AS n, rank() OVER w, dense_rank() OVER w, lagInFrame(price, 1) OVER w AS last FROM trades WINDOW w AS (PARTITION BY symbol ORDER BY price, trade_id) ORDER BY symbol, n LIMIT 10

SELECT trade_id, price, lag(price) OVER (ORDER BY trade_id), lead(price, 2, 0.0) OVER (ORDER BY trade_id), first_value(price) OVER (ORDER BY trade_id), last_value(price) OVER (ORDER BY trade_id) FROM trades ORDER BY trade_id LIMIT 5

SELECT symbol, sum(size) OVER (PARTITION BY symbol ORDER BY received_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s FROM trades ORDER BY trade_id LIMIT 5

SELECT ntile(4) OVER (ORDER BY price), percent_rank() OVER (ORDER BY price), cume_dist() OVER (ORDER BY price), nth_value(price, 2) OVER (ORDER BY price) FROM trades ORDER BY price, trade_id LIMIT 5

SELECT symbol, price, dense_rank() OVER (PARTITION BY symbol ORDER BY price DESC) AS r FROM trades QUALIFY r <= 2 ORDER BY symbol, r, trade_id LIMIT 8

SELECT t.trade_id, t.price, f.mid FROM trades AS t ASOF LEFT JOIN factors AS f ON t.venue = f.venue AND t.symbol = f.symbol AND t.received_at >= f.received_at ORDER BY t.trade_id LIMIT 10

SELECT t.trade_id, f.mid FROM trades t ASOF JOIN factors f USING (venue, symbol, received_at) ORDER BY t.trade_id LIMIT 10

SELECT t.symbol, i.tick FROM trades t INNER JOIN instruments i ON t.venue = i.venue AND t.symbol = i.symbol ORDER BY t.trade_id LIMIT 5

SELECT count() FROM trades LEFT ANTI JOIN instruments USING (venue, symbol)

SELECT count() FROM trades LEFT SEMI JOIN instruments USING (venue, symbol)

SELECT count() FROM trades ANY LEFT JOIN instruments USING (venue, symbol)

SELECT a.symbol, b.symbol FROM instruments a CROSS JOIN instruments b ORDER BY 1, 2 LIMIT 4

SELECT a.symbol FROM instruments a FULL OUTER JOIN instruments b ON a.symbol = b.symbol AND a.venue = b.venue ORDER BY 1 SETTINGS join_use_nulls = 1

SELECT symbol FROM instruments FINAL ORDER BY symbol LIMIT 1 BY symbol

SELECT symbol, groupArray(3)(price), groupUniqArray(side), groupArrayMovingAvg(2)(size) FROM (SELECT * FROM trades ORDER BY trade_id LIMIT 20) GROUP BY symbol ORDER BY symbol

SELECT uniq(trade_id), uniqExact(symbol), uniqCombined(venue), uniqHLL12(trade_id), count(DISTINCT symbol) FROM trades

SELECT topK(2)(symbol), topKWeighted(2)(symbol, trade_id), anyHeavy(side), any(venue), anyLast(venue) FROM (SELECT * FROM trades ORDER BY trade_id)

SELECT stddevPop(price), stddevSamp(price), varPop(price), varSamp(price), skewPop(price), kurtPop(price) FROM trades

SELECT corr(price, size), covarPop(price, size), covarSamp(price, size), corrStable(price, size) FROM trades

SELECT simpleLinearRegression(price, size), entropy(side), maxMap(map(symbol, size)), sumMap(map(symbol, size)) FROM trades

SELECT exponentialMovingAverage(10)(price, trade_id), deltaSum(price), boundingRatio(price, trade_id) FROM (SELECT * FROM trades ORDER BY trade_id)

SELECT histogram(5)(price), sparkbar(9)(trade_id, size), largestTriangleThreeBuckets(4)(trade_id, price) FROM trades

SELECT sumKahan(price), sumWithOverflow(size), sumCount(size), avgWeighted(price, size), minMap([1, 2], [size, price]) FROM trades

SELECT kolmogorovSmirnovTest('two-sided', 'exact')(price, side = 'buy') FROM (SELECT * FROM trades ORDER BY trade_id LIMIT 50)

SELECT studentTTest(price, side = 'buy'), welchTTest(price, side = 'buy'), mannWhitneyUTest(price, side = 'buy') FROM trades

SELECT symbol, windowFunnel(10)(toDateTime(received_at), side = 'buy', side = 'sell') FROM trades GROUP BY symbol ORDER BY symbol

SELECT symbol, sequenceMatch('(?1)(?2)')(toDateTime(received_at), side = 'buy', side = 'sell'), retention(side = 'buy', size > 3) FROM trades GROUP BY symbol ORDER BY symbol

SELECT finalizeAggregation(s), uniqMerge(u) FROM (SELECT sumState(size) AS s, uniqState(trade_id) AS u FROM trades) GROUP BY s

SELECT arrayReduce('sum', groupArray(size)), arrayReduce('quantiles(0.5)', groupArray(size)) FROM trades

SELECT sumArray(bids), avgArray(asks), countArrayIf(bids, status = 'OK'), maxOrNull(mid), minOrDefault(mid), sumDistinct(round(mid)) FROM factors

SELECT sumForEach(bids), avgForEach(asks), groupArrayArray(asks)[1] FROM factors

SELECT sumResample(0, 100, 20)(size, trade_id % 100) FROM trades

SELECT argMaxIf(price, size, side = 'buy'), quantileTDigestIf(0.9)(price, side = 'sell'), quantileDeterministic(0.5)(price, trade_id) FROM trades

SELECT status, mid, coalesce(mid, 0), ifNull(mid, -1), isNull(mid), mid IS NOT NULL, nullIf(status, 'OK'), assumeNotNull(mid) FROM factors ORDER BY received_at LIMIT 5

SELECT CASE WHEN price > 1100 THEN 'high' WHEN price > 100 THEN 'mid' ELSE 'low' END AS band, count() FROM trades GROUP BY band ORDER BY band

SELECT CASE side WHEN 'buy' THEN 1 ELSE -1 END * size FROM trades ORDER BY trade_id LIMIT 3

SELECT multiIf(price > 1000, 'a', price > 500, 'b', 'c'), if(size > 3, 'x', 'y'), size > 2 ? 1 : 0 FROM trades ORDER BY trade_id LIMIT 3

SELECT arrayMap(x -> x * 2, bids), arrayFilter(x -> x > 2, bids), arraySum(bids), arraySort(x -> -x, bids), arrayReverse(bids), arrayMax(bids) FROM factors ORDER BY received_at LIMIT 2

SELECT arrayZip(bids, arrayEnumerate(bids)), arrayCumSum(bids), arrayDifference(bids), arrayConcat(bids, asks), arraySlice(bids, 1, 2), has(bids, 1.5), indexOf(bids, 2.5) FROM factors ORDER BY received_at LIMIT 2

SELECT arrayFold((acc, x) -> acc + x, bids, 0.0), arrayExists(x -> x > 3, bids), arrayAll(x -> x > 0, bids), arrayCount(x -> x > 1, bids), arrayFirst(x -> x > 1, bids) FROM factors ORDER BY received_at LIMIT 2

SELECT bids[1], bids[-1], length(bids), empty(bids), arrayJoin(asks) FROM factors ORDER BY received_at, 5 LIMIT 4

SELECT symbol, tag FROM trades ARRAY JOIN tags AS tag ORDER BY trade_id, tag LIMIT 4

SELECT n, b FROM factors LEFT ARRAY JOIN bids AS b, arrayEnumerate(bids) AS n ORDER BY received_at, n LIMIT 4

SELECT range(5), [1, 2, 3], (1, 'a'), tuple(1, 2).1, map('a', 1)['a'], arrayWithConstant(3, 7), arrayStringConcat(['a', 'b'], '-')

SELECT meta['run'], mapKeys(meta), mapValues(meta), mapContains(meta, 'run'), mapFilter((k, v) -> k = 'run', meta) FROM trades ORDER BY trade_id LIMIT 2

SELECT JSONExtractInt(raw, 'p'), JSONExtract(raw, 'q', 'Array(Int64)'), JSONExtractString(raw, 's', 't'), JSONHas(raw, 'z'), JSONLength(raw), JSONType(raw, 'q'), JSON_VALUE(raw, '$.s.t') FROM trades ORDER BY trade_id LIMIT 3

SELECT simpleJSONExtractUInt(raw, 'p'), JSONExtractKeys(raw), JSONExtractRaw(raw, 's'), isValidJSON(raw), toJSONString(map('a', 1)) FROM trades ORDER BY trade_id LIMIT 2

SELECT info.a.b, info.c::String, JSONAllPaths(info) FROM instruments ORDER BY venue, symbol LIMIT 2

SELECT toDate(received_at), toYYYYMM(received_at), toHour(received_at), toDayOfWeek(received_at), toMonday(received_at), toUnixTimestamp(received_at), toUnixTimestamp64Nano(received_at) FROM trades ORDER BY trade_id LIMIT 2

SELECT dateDiff('second', min(received_at), max(received_at)), date_trunc('hour', max(received_at)), formatDateTime(max(received_at), '%Y-%m-%d %H:%i'), age('minute', min(received_at), max(received_at)) FROM trades

SELECT max(received_at) - INTERVAL 1 HOUR, addDays(toDate('2024-01-01'), 3), toDate('2024-01-31') + toIntervalMonth(1), DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03', EXTRACT(MONTH FROM toDate('2024-03-01')) FROM trades

SELECT toDateTime('2024-01-01 00:00:00', 'Europe/Berlin'), toTimeZone(toDateTime('2024-06-01 00:00:00', 'UTC'), 'Asia/Tokyo'), parseDateTimeBestEffort('1 Jan 2024 10:00'), toStartOfWeek(toDate('2024-05-05')), toLastDayOfMonth(toDate('2024-02-01'))

SELECT fromUnixTimestamp64Nano(toInt64(1700000000000000000)), toDateTime64('2024-01-01 00:00:00.123', 3), makeDate(2024, 2, 29), timeSlot(toDateTime('2024-01-01 00:10:00')), tumbleStart(toDateTime('2024-01-01 00:10:00'), toIntervalHour(1))

SELECT now() > toDateTime('2020-01-01 00:00:00'), today() > toDate('2020-01-01'), now64(9) > toDateTime64('2020-01-01 00:00:00', 9), yesterday() < today()

SELECT lower(symbol), upper(side), concat(venue, ':', symbol), venue || ':' || symbol, substring(symbol, 1, 3), length(symbol), reverse(side), position(symbol, 'USD'), replaceAll(symbol, 'USDT', '') FROM trades ORDER BY trade_id LIMIT 2

SELECT splitByChar(':', 'a:b:c'), splitByString('--', 'a--b'), trim(BOTH ' ' FROM '  x '), trimLeft('  x'), leftPad('7', 3, '0'), format('{} {}', 'a', 'b'), repeat('ab', 3), left('abc', 2), startsWith('abc', 'a'), endsWith('abc', 'c')

SELECT match('abc', '^a'), extract('abc123', '\\d+'), extractAll('a1b2', '\\d'), replaceRegexpAll('a1b2', '\\d', 'x'), like('abc', 'a%'), 'abc' ILIKE 'A%', 'abc' NOT LIKE 'z%', multiSearchAny('abc', ['b', 'z']), countSubstrings('aaa', 'a')

SELECT hex(MD5('a')), sipHash64('a'), cityHash64('a', 1), xxHash64('a'), hex(SHA256('a')), crc32('a'), murmurHash3_64('a'), base64Encode('a'), base64Decode('YQ=='), unhex('61'), bin(5), intHash64(7)

SELECT abs(-1), round(1.2345, 2), floor(1.7), ceil(1.2), sqrt(4), pow(2, 10), exp(0), log(e()), log2(8), log10(100), sign(-3), 7 % 3, intDiv(7, 2), gcd(12, 18), greatest(1, 2), least(1, 2), pi() > 3

SELECT bitAnd(6, 3), bitOr(6, 3), bitXor(6, 3), bitShiftLeft(1, 4), bitCount(7), bitTest(5, 0)

SELECT CAST('1' AS UInt8), '2'::Int32, toFloat64('1.5'), toInt32OrZero('x'), toDecimal64('1.23', 2), toString(1), accurateCastOrNull('300', 'UInt8'), toTypeName(1), CAST([1, 2], 'Array(String)'), toUInt64OrNull('x')

SELECT toUUID('00000000-0000-0000-0000-000000000001'), toIPv4('127.0.0.1'), isIPv4String('1.2.3.4'), IPv4NumToString(toUInt32(16909060)), domain('https://a.example.org/x?y=1'), extractURLParameter('http://a/?y=1', 'y')

SELECT levenshteinDistance('abc', 'abd'), ngramDistance('abc', 'abd'), soundex('abc'), jaroSimilarity('abc', 'abd'), stringJaccardIndex('abc', 'abd')

SELECT geoDistance(0, 0, 1, 1) > 0, greatCircleDistance(0, 0, 1, 1) > 0, pointInPolygon((1., 1.), [(0., 0.), (2., 0.), (2., 2.), (0., 2.)])

SELECT cosineDistance([1., 2.], [2., 3.]), L2Distance([1., 2.], [2., 3.]), dotProduct([1., 2.], [2., 3.]), L1Norm([1., 2.])

WITH (SELECT avg(price) FROM trades) AS mean SELECT count() FROM trades WHERE price > mean

WITH bars AS (SELECT symbol, toStartOfMinute(received_at) AS m, avg(price) AS p FROM trades GROUP BY symbol, m), ranked AS (SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY m) AS n FROM bars) SELECT symbol, m, p FROM ranked WHERE n <= 2 ORDER BY symbol, m

WITH RECURSIVE steps AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM steps WHERE n < 5) SELECT sum(n) FROM steps

WITH x -> x * 2 AS double SELECT double(21)

SELECT symbol FROM trades WHERE symbol IN (SELECT symbol FROM instruments WHERE venue = 'binance') GROUP BY symbol ORDER BY symbol

SELECT count() FROM trades WHERE (venue, symbol) IN (SELECT venue, symbol FROM instruments)

SELECT count() FROM trades WHERE symbol NOT IN ('BTCUSDT', 'ETHUSDT') AND price BETWEEN 0 AND 5000

SELECT count() FROM instruments WHERE symbol GLOBAL IN (SELECT symbol FROM trades)

SELECT symbol FROM instruments i WHERE EXISTS (SELECT 1 FROM trades) ORDER BY symbol LIMIT 1

SELECT 1 WHERE 1 = ANY (SELECT 1) AND 2 > ALL (SELECT 1)

SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2 AS a) ORDER BY a

SELECT a FROM (SELECT 1 AS a UNION DISTINCT SELECT 1) ORDER BY a

(SELECT symbol FROM instruments ORDER BY symbol LIMIT 1) UNION ALL (SELECT 'x')

SELECT symbol FROM trades INTERSECT SELECT symbol FROM instruments ORDER BY symbol

SELECT number FROM numbers(5) EXCEPT SELECT number FROM numbers(3) ORDER BY number

SELECT venue, symbol, sum(size) FROM trades GROUP BY ROLLUP (venue, symbol) ORDER BY venue, symbol, 3

SELECT venue, symbol, sum(size) FROM trades GROUP BY venue, symbol WITH CUBE ORDER BY venue, symbol, 3

SELECT venue, symbol, sum(size), grouping(venue) FROM trades GROUP BY GROUPING SETS ((venue), (symbol), ()) ORDER BY ALL

SELECT symbol, sum(size) AS s FROM trades GROUP BY symbol WITH TOTALS HAVING s > 0 ORDER BY symbol

SELECT symbol, count() FROM trades GROUP BY ALL ORDER BY ALL

SELECT DISTINCT venue FROM trades ORDER BY venue

SELECT DISTINCT ON (venue) venue, symbol FROM instruments ORDER BY venue, symbol

SELECT * FROM (SELECT trade_id FROM trades ORDER BY trade_id LIMIT 5, 3)

SELECT trade_id FROM trades ORDER BY trade_id DESC NULLS LAST LIMIT 3 OFFSET 2

SELECT trade_id FROM trades ORDER BY trade_id OFFSET 1 ROW FETCH FIRST 2 ROWS ONLY

SELECT price FROM trades ORDER BY price DESC LIMIT 2 WITH TIES

SELECT toStartOfMinute(received_at) AS m, count() FROM trades GROUP BY m ORDER BY m WITH FILL FROM toDateTime('2024-01-01 00:00:00', 'UTC') TO toDateTime('2024-01-01 00:30:00', 'UTC') STEP toIntervalMinute(1)

SELECT n, s FROM (SELECT 1 AS n, 'a' AS s UNION ALL SELECT 4, 'b') ORDER BY n WITH FILL STEP 1 INTERPOLATE (s AS s)

SELECT count() FROM trades PREWHERE symbol = 'BTCUSDT' WHERE size > 2

SELECT number, number * 2 FROM numbers(3)

SELECT * FROM numbers_mt(3) ORDER BY number

SELECT * FROM generate_series(1, 5, 2)

SELECT count() FROM (SELECT * FROM numbers(10) LIMIT 2 OFFSET 3)

SELECT * FROM values('a UInt8, b String', (1, 'x'), (2, 'y'))

SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t(a, b)

SELECT * FROM view(SELECT symbol FROM instruments ORDER BY symbol LIMIT 1)

SELECT count() FROM (SELECT * FROM generateRandom('a UInt8, b String', 1, 2, 3) LIMIT 5)

FROM trades SELECT symbol, count() GROUP BY symbol ORDER BY symbol

SELECT name, type, comment FROM system.columns WHERE database = 'default' AND table = 'trades' ORDER BY position

SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY name

SELECT table_name FROM information_schema.tables WHERE table_schema = 'default' ORDER BY table_name

SELECT count() > 0 FROM system.functions

SELECT table, sum(rows) FROM system.parts WHERE active AND database = 'default' GROUP BY table ORDER BY table

SELECT name FROM system.databases ORDER BY name

SELECT version() != '', timezone(), currentDatabase(), currentUser()

SELECT 'it''s', 'a\tb', "symbol", `venue` FROM instruments ORDER BY 3, 4 LIMIT 1

SELECT $heredoc$ text with 'quotes' and ; inside $heredoc$

SELECT 1 /* a comment; DROP TABLE trades */ -- and another

select symbol as "select", count(*) as `count of file(1)` from trades group by symbol order by symbol

SELECT 'file(\'/etc/passwd\')' AS harmless, 'INTO OUTFILE' AS words

SELECT formatReadableSize(123456), formatReadableQuantity(1e6), formatReadableTimeDelta(3600), bar(5, 0, 10, 10)

SELECT symbol, price - neighborPrice AS d FROM (SELECT symbol, price, any(price) OVER (PARTITION BY symbol ORDER BY received_at ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS neighborPrice FROM trades) ORDER BY symbol, d LIMIT 3

SELECT transform(side, ['buy', 'sell'], [1, -1], 0) * size AS signed FROM trades ORDER BY trade_id LIMIT 3

SELECT sum(signed) OVER (PARTITION BY symbol ORDER BY received_at) FROM (SELECT symbol, received_at, if(side = 'buy', size, -size) AS signed FROM trades) ORDER BY symbol, received_at LIMIT 3

SELECT seriesDecomposeSTL(groupArray(price), 4)[1][1] IS NOT NULL FROM (SELECT price FROM trades ORDER BY trade_id LIMIT 24)

SELECT runningDifference(price) FROM (SELECT price FROM trades ORDER BY trade_id LIMIT 3) SETTINGS allow_deprecated_error_prone_window_functions = 1

SELECT tuple(1, 'a', [1]) AS t, t.1, tupleElement(t, 2), untuple((1, 2)), (t.3)[1]

SELECT timeSeriesRange('2024-01-01 00:00:00'::DateTime, '2024-01-01 00:10:00'::DateTime, 300)

SELECT getSetting('max_threads') >= 1, ignore(1), identity(2), materialize(3), toNullable(4)

SELECT groupBitmapAnd(b), groupBitmapOr(b), bitmapCardinality(groupBitmapOrState(b)) FROM (SELECT groupBitmapState(toUInt32(trade_id)) AS b FROM trades GROUP BY symbol)

SELECT symbol, round(avg(price)) AS p FROM trades GROUP BY symbol HAVING p > 50 ORDER BY p DESC LIMIT 10 SETTINGS max_threads = 1, max_execution_time = 5

SELECT count() FROM trades SETTINGS use_query_condition_cache = 0 FORMAT CSVWithNames

SELECT {n:UInt8} + 1 AS answer, {s:String} AS text, {d:Date} AS day, {a:Array(UInt8)} AS list

SELECT count() FROM {t:Identifier} WHERE symbol = {s:String}

SELECT TRUNCATE(1.23), TRIM('x '), DATEDIFF(day, toDate('2024-01-01'), toDate('2024-01-03')), CONCAT('a', 'b'), COALESCE(NULL, 1), NULLIF(1, 1)

SELECT sum(size) / count() AS "average size", max(received_at) AS newest FROM trades GROUP BY venue ORDER BY newest, 1

SELECT cramersV(side, symbol), theilsU(side, symbol), contingency(side, symbol) FROM trades

SELECT intervalLengthSum(trade_id, trade_id + 1), maxIntersections(trade_id, trade_id + 2) FROM trades

SELECT toStartOfHour(received_at) h, symbol, sum(if(side = 'buy', size, 0)) buy, sum(if(side = 'sell', size, 0)) sell, (buy - sell) / (buy + sell) AS ofi FROM trades GROUP BY h, symbol ORDER BY h, symbol

SELECT f.symbol, avg(abs(f.mid - t.price)) FROM factors f JOIN (SELECT symbol, toStartOfSecond(received_at) AS s, avg(price) AS price FROM trades GROUP BY symbol, s) t ON f.symbol = t.symbol AND toStartOfSecond(f.received_at) = t.s GROUP BY f.symbol ORDER BY f.symbol

SELECT symbol, min(price) AS low, max(price) AS high, high - low AS range FROM trades GROUP BY symbol ORDER BY symbol

SELECT venue, symbol, countIf(status != 'OK') / count() AS bad FROM factors GROUP BY venue, symbol ORDER BY bad DESC, venue, symbol

SELECT corr(obi_10bps, ofi_l1) FROM factors WHERE status = 'OK'

SELECT quantilesExactInclusive(0.01, 0.5, 0.99)(spread_bps) FROM factors

SELECT avg(arraySum(bids) - arraySum(asks)) AS depth_imbalance FROM factors

SELECT symbol, stddevPop(r) * sqrt(86400) AS vol FROM (SELECT symbol, log(price / lagInFrame(price, 1, price) OVER (PARTITION BY symbol ORDER BY received_at)) AS r FROM trades) GROUP BY symbol ORDER BY symbol

SELECT arrayMap((b, a) -> b - a, bids, arrayResize(asks, 3)) FROM factors ORDER BY received_at LIMIT 2

SELECT arrayElement(bids, 1) AS best_bid, arrayMin(asks) AS best_ask, best_ask - best_bid FROM factors ORDER BY received_at LIMIT 2

SELECT hour, sum(n) FROM (SELECT toHour(received_at) AS hour, count() AS n FROM trades GROUP BY received_at) GROUP BY hour ORDER BY hour

SELECT symbol, groupConcat(', ')(DISTINCT side) FROM (SELECT * FROM trades ORDER BY side) GROUP BY symbol ORDER BY symbol

SELECT count() AS c, bar(c, 0, 2000, 20) FROM trades GROUP BY symbol ORDER BY c, symbol

SELECT max(received_at) AS last, dateDiff('ms', last, toDateTime64('2024-01-02 00:00:00', 3, 'UTC')) FROM trades

SELECT symbol, argMax((price, size), received_at) FROM trades GROUP BY symbol ORDER BY symbol

SELECT symbol, maxIf(price, toHour(received_at) = 0), anyIf(side, size > 5) IS NOT NULL FROM trades GROUP BY symbol ORDER BY symbol

SELECT * FROM trades WHERE symbol LIKE 'BTC%' AND side = 'buy' AND size >= 2 ORDER BY price DESC, trade_id LIMIT 3 FORMAT TSVWithNamesAndTypes

SELECT * FROM factors ORDER BY received_at LIMIT 2 FORMAT Vertical

SELECT symbol, price FROM trades ORDER BY trade_id LIMIT 2 FORMAT JSONCompact

SELECT symbol, price FROM trades ORDER BY trade_id LIMIT 2 FORMAT CSV

SELECT symbol, price FROM trades ORDER BY trade_id LIMIT 2 FORMAT Markdown

SELECT symbol, price FROM trades ORDER BY trade_id LIMIT 2 FORMAT PrettyCompact

SELECT toInt64(received_at) FROM trades ORDER BY trade_id LIMIT 1

SELECT 0x1F, 1e3, -5, 18446744073709551615, 1_000, 0b101, inf, -inf, nan, NULL, true, false

SELECT 1 + 2 * 3 - 4 / 2 % 3, -(-1), NOT 0, 1 OR 0 AND 0, 1 = 1, 1 != 2, 1 <> 2, 2 >= 1, 'a' || 'b'

SELECT [1, 2][1], ('a', 1).2, map('k', 1) FROM numbers(0)

SELECT map('a', 1, 'b', 2)['b'], (SELECT max(price) FROM trades) > 0

SELECT a.b FROM (SELECT CAST((1, 2), 'Tuple(b UInt8, c UInt8)') AS a)

SELECT number, multiply(number, 2) AS twice, twice + 1 FROM numbers(3) WHERE twice > 0

SELECT count() FROM trades t1, instruments t2 WHERE t1.symbol = t2.symbol AND t1.venue = t2.venue

SELECT sum(x) FROM (SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 3)

SELECT toYYYYMMDD(received_at) AS day, symbol, sum(size) FROM trades GROUP BY day, symbol ORDER BY day, symbol LIMIT 2 BY day

SELECT venue, sum(size) AS total, total / sum(total) OVER () AS share FROM trades GROUP BY venue ORDER BY venue

SELECT side, quantileTiming(0.9)(size), quantileBFloat16(0.5)(price) > 0 FROM trades GROUP BY side ORDER BY side

SELECT sumIfOrNull(size, price < 0), avgOrDefaultIf(size, price < 0) FROM trades

SELECT groupArrayIf(3)(trade_id, side = 'buy'), uniqExactIf(symbol, size > 1), countDistinctIf(symbol, size > 1) FROM (SELECT * FROM trades ORDER BY trade_id)

SELECT symbol, arrayStringConcat(arrayMap(x -> toString(round(x)), groupArray(2)(price)), '/') FROM (SELECT * FROM trades ORDER BY trade_id) GROUP BY symbol ORDER BY symbol

SELECT lttb(4)(trade_id, price) FROM trades

SELECT first_value(price), last_value(price), any_value(venue) FROM (SELECT * FROM trades ORDER BY trade_id)

SELECT symbol FROM trades GROUP BY symbol ORDER BY symbol COLLATE 'en'

SELECT dictionaries FROM (SELECT 1 AS dictionaries)

SELECT url, file FROM (SELECT 'a' AS url, 'b' AS file)

SELECT `system`, remote FROM (SELECT 1 AS `system`, 2 AS remote)

SELECT number AS outfile FROM numbers(1) -- INTO OUTFILE 'x'
