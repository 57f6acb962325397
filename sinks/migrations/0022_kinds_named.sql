ALTER TABLE factors COMMENT COLUMN IF EXISTS status 'state of the book behind the event: RESYNCING, EMPTY, ONE_SIDED, CROSSED, LOCKED, THIN or OK';
ALTER TABLE anomalies COMMENT COLUMN IF EXISTS kind 'liquidity_shift, one_sided, locked, stale, wide_spread or spoofing_like';
ALTER TABLE trades COMMENT COLUMN IF EXISTS contract_kind 'how a size becomes a notional: spot, linear, inverse or option';
ALTER TABLE derivatives COMMENT COLUMN IF EXISTS contract_kind 'how a size becomes a notional: spot, linear, inverse or option';
ALTER TABLE feed_status COMMENT COLUMN IF EXISTS state 'what the feed became: connecting, awaiting_snapshot, live, invalid, stale, disconnected or stopped';
ALTER TABLE feed_status COMMENT COLUMN IF EXISTS reason 'why the book is not live: gap, no_bridge, checksum, crossed, disconnect, overload, regrid, bad_input, snapshot_mismatch, resync_requested, stale_epoch, restart, beyond_snapshot, quote_mismatch or delisted; null where it is, or nothing says';
ALTER TABLE regimes COMMENT COLUMN IF EXISTS label 'the judgement: BULLISH_PRESSURE, BEARISH_PRESSURE, BALANCED, VOLATILE, REGIME_CHANGE or UNKNOWN';
ALTER TABLE llm_calls COMMENT COLUMN IF EXISTS outcome 'what became of it: ok is a valid verdict, in time, published; stale one that was not published, since another worker has the instrument; else timeout, unreachable, unauthorized, rate_limited, refused, server_error, too_large, garbage, truncated, invalid, abandoned or not_asked';
ALTER TABLE quotes COMMENT COLUMN IF EXISTS status 'state of the book: RESYNCING, EMPTY, ONE_SIDED, CROSSED, LOCKED, THIN or OK';
