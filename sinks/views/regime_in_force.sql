-- The regime that holds for every instrument now, with the model's newest label beside it; of its live source where it has
-- one, else one a source. `regime_in_force_at` says the same of any moment.
-- The rules are in force until the rollout says otherwise: an answer is not preferred because it exists. Where the rollout
-- is promoted, or in a canary whose list names the instrument, and not disabled, the candidate's answer is in force, else
-- the live arm's, as long as it stands: as long as the rules' label has not changed since its window, no book broke since,
-- and for at most a minute of received time. The model is asked once a minute and where the rules' label changed. Where its
-- newest judgement does not stand, `llm_label` is null. What a candidate says is beside the rules where it is in force alone:
-- in shadow, and of instruments that are not on its list, the live arm's is.
-- Where received time began anew (a recording replayed as it was), a judgement from beyond the rules' newest window is of
-- the run before. A sentence stands with each row: the rules' from a template.
--: source who is in force: rule or llm
--: arm the arm whose answer is in force, blue or green; empty of rules
--: label the regime in force
--: rule_label what the rules say
--: score of the rules, where they are in force; else null
--: window_end end of the window that the label is about
--: llm_stands whether the judgement of the model stands beside the rules
--: llm_label label of the model; null where none stands
--: llm_confidence P(the mid goes the likelier way over its coming minute, if it changes); of prompt v1, what it called so
--: llm_outlook UP, DOWN or FLAT; null where none stands, and of prompt v1
--: llm_p_up P(the mid rises over its coming minute, if it changes)
--: llm_p_volatile P(the realised variance of that minute exceeds the median of the 60 minutes before)
--: llm_unfaithful whether it names a number that it was not shown
--: llm_summary its sentence, never trusted as text
--: llm_window_end end of the window it is about
--: llm_decided_at when it could first be known
CREATE OR REPLACE VIEW regime_in_force AS
WITH
    rule AS
    (
        SELECT *
        FROM regimes_once
        WHERE source = 'rule'
        ORDER BY stored_at DESC, k_off DESC
        LIMIT 1 BY venue, symbol, feed_source
    ),
    rolled_out AS
    (
        SELECT enabled, stage, live, candidate, instruments
        FROM rollout_at
        WHERE (decided_at, step) = (SELECT max((decided_at, step)) FROM rollout_at)
    ),
    aside AS -- arms that are asked, or were, and are not in force
    (
        SELECT rule.venue AS venue, rule.symbol AS symbol, rolled_out.candidate AS arm
        FROM rule
        CROSS JOIN rolled_out
        WHERE rolled_out.candidate != rolled_out.live
            AND NOT (rolled_out.stage = 'canary' AND has(rolled_out.instruments, concat(rule.venue, ':', rule.symbol)))
    ),
    llm AS
    (
        SELECT *
        FROM regimes_once
        WHERE source IN ('llm', 'cache') AND (venue, symbol, arm) NOT IN (SELECT venue, symbol, arm FROM aside)
        ORDER BY stored_at DESC, k_off DESC
        LIMIT 1 BY venue, symbol, feed_source
    ),
    answers AS -- the newest of each arm
    (
        SELECT *
        FROM regimes_once
        WHERE source != 'rule' AND notEmpty(arm)
        ORDER BY stored_at DESC, k_off DESC
        LIMIT 1 BY venue, symbol, feed_source, arm
    ),
    now_rolled_out AS
    (
        SELECT stage, live, candidate, instruments FROM rolled_out WHERE enabled AND stage IN ('canary', 'promoted')
    ),
    earlier AS
    (
        SELECT past.venue AS venue, past.symbol AS symbol, past.feed_source AS feed_source, max(past.source_offset) AS last_end_offset
        FROM regimes AS past
        INNER JOIN rule
            ON past.venue = rule.venue AND past.symbol = rule.symbol
            AND past.feed_source = rule.feed_source AND past.source_log = rule.source_log
        WHERE past.source = 'rule' AND (past.label != rule.label OR NOT past.whole OR past.usable_events = 0)
        GROUP BY past.venue, past.symbol, past.feed_source
    ),
    model AS -- the answer that is in force: the candidate's before the live arm's
    (
        SELECT
            answers.venue AS venue, answers.symbol AS symbol, answers.feed_source AS feed_source, answers.arm AS arm,
            answers.label AS label, answers.summary AS summary, answers.risk AS risk,
            answers.window_end AS window_end, answers.decided_at AS decided_at
        FROM answers
        INNER JOIN rule
            ON rule.venue = answers.venue AND rule.symbol = answers.symbol AND rule.feed_source = answers.feed_source
            AND rule.source_log = answers.source_log
        LEFT JOIN earlier
            ON earlier.venue = rule.venue AND earlier.symbol = rule.symbol AND earlier.feed_source = rule.feed_source
        CROSS JOIN now_rolled_out
        WHERE answers.arm IN (now_rolled_out.candidate, now_rolled_out.live)
            AND (
                now_rolled_out.stage = 'promoted'
                OR has(now_rolled_out.instruments, concat(answers.venue, ':', answers.symbol))
            )
            AND answers.source_offset > earlier.last_end_offset
            AND answers.window_end <= rule.window_end
            AND answers.window_end > rule.window_end - toIntervalMinute(1)
        ORDER BY answers.arm = now_rolled_out.candidate DESC
        LIMIT 1 BY answers.venue, answers.symbol, answers.feed_source
    )
SELECT
    rule.venue AS venue,
    rule.symbol AS symbol,
    rule.feed_source AS feed_source,
    if(notEmpty(model.arm), 'llm', 'rule') AS source,
    model.arm AS arm,
    if(notEmpty(model.arm), model.label, rule.label) AS label,
    rule.label AS rule_label,
    if(notEmpty(model.arm), NULL, rule.score) AS score,
    if(notEmpty(model.arm), model.summary, rule.summary) AS summary,
    if(notEmpty(model.arm), model.risk, rule.risk) AS risk,
    if(notEmpty(model.arm), model.window_end, rule.window_end) AS window_end,
    if(notEmpty(model.arm), model.decided_at, rule.decided_at) AS decided_at,
    rule.run AS run,
    llm.source_log = rule.source_log
        AND llm.source_offset > earlier.last_end_offset
        AND llm.window_end <= rule.window_end
        AND llm.window_end > rule.window_end - toIntervalMinute(1) AS llm_stands,
    if(llm_stands, toNullable(toString(llm.label)), NULL) AS llm_label,
    if(llm_stands, llm.confidence, NULL) AS llm_confidence,
    if(llm_stands, toNullable(toString(llm.outlook)), NULL) AS llm_outlook,
    if(llm_stands, llm.p_up, NULL) AS llm_p_up,
    if(llm_stands, llm.p_volatile, NULL) AS llm_p_volatile,
    if(llm_stands, llm.unfaithful, NULL) AS llm_unfaithful,
    multiIf(NOT llm_stands, '', notEmpty(llm.summary), llm.summary, llm.sentence) AS llm_summary,
    if(llm_stands, toNullable(llm.window_end), NULL) AS llm_window_end,
    if(llm_stands, llm.decided_at, NULL) AS llm_decided_at
FROM rule
LEFT JOIN llm
    ON llm.venue = rule.venue AND llm.symbol = rule.symbol AND llm.feed_source = rule.feed_source
LEFT JOIN earlier
    ON earlier.venue = rule.venue AND earlier.symbol = rule.symbol AND earlier.feed_source = rule.feed_source
LEFT JOIN model
    ON model.venue = rule.venue AND model.symbol = rule.symbol AND model.feed_source = rule.feed_source;
