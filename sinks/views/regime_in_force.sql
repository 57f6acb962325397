-- The regime that holds for every instrument now, and who says so.
-- The rules judge every window at once; the model is asked where a window differs materially from the one it was asked
-- about before. So its newest judgement stays in force after its own window: as long as the rules' label has not
-- changed since, no book broke since, and for at most a minute of received time. Else the rules' newest judgement holds:
-- a window that is not whole, or holds nothing usable, is one that nobody may have an opinion on. Where received time
-- began anew (a recording replayed as it was), a judgement from beyond the rules' newest window is of the run before.
CREATE OR REPLACE VIEW regime_in_force AS
WITH
    rule AS
    (
        SELECT * FROM regimes WHERE source = 'rule' ORDER BY stored_at DESC, k_off DESC LIMIT 1 BY venue, symbol
    ),
    llm AS
    (
        SELECT * FROM regimes WHERE source = 'llm' ORDER BY stored_at DESC, k_off DESC LIMIT 1 BY venue, symbol
    ),
    earlier AS
    (
        SELECT past.venue AS venue, past.symbol AS symbol, max(past.source_offset) AS last_end_offset
        FROM regimes AS past
        INNER JOIN rule ON past.venue = rule.venue AND past.symbol = rule.symbol AND past.source_log = rule.source_log
        WHERE past.source = 'rule' AND (past.label != rule.label OR NOT past.whole OR past.usable_events = 0)
        GROUP BY past.venue, past.symbol
    )
SELECT
    rule.venue AS venue,
    rule.symbol AS symbol,
    llm.source_log = rule.source_log
        AND llm.source_offset > earlier.last_end_offset
        AND llm.window_end <= rule.window_end
        AND llm.window_end > rule.window_end - toIntervalMinute(1) AS by_llm,
    if(by_llm, 'llm', 'rule') AS source,
    if(by_llm, llm.label, rule.label) AS label,
    if(by_llm, llm.confidence, rule.confidence) AS confidence,
    if(by_llm, llm.sentence, '') AS sentence,
    if(by_llm, llm.window_end, rule.window_end) AS window_end,
    rule.label AS rule_label,
    rule.window_end AS as_of
FROM rule
LEFT JOIN llm ON llm.venue = rule.venue AND llm.symbol = rule.symbol
LEFT JOIN earlier ON earlier.venue = rule.venue AND earlier.symbol = rule.symbol;
