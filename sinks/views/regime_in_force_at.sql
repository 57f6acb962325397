-- The regime that was in force at a moment t: the row of each instrument with since <= t < until. Moments are of received
-- time; join on since (ASOF) or ask `WHERE since <= t AND t < until`.
-- In force is a model where the rollout had it so for the instrument at that moment: promoted, or in a canary whose list
-- names it, and not disabled. There the candidate's answer holds, else the live arm's, if it was known by then, the rules'
-- label has not changed and no book broke since its window, and that ended less than a minute before. Else, and wherever
-- nothing is rolled out, the rules' label holds. An answer is not preferred because it exists.
--: since from when on
--: until when something else came in force, or was known to be; far in the future where nothing did yet
--: source who is in force: rule or llm
--: arm the arm whose answer it is, blue or green; empty of rules
--: label the regime in force
--: rule_label what the rules said
--: window_end end of the window that the label is about
--: decided_at when that label could first be known
--: stage how far the rollout was: off, shadow, canary, promoted or rolled_back; empty before the first change
CREATE OR REPLACE VIEW regime_in_force_at AS
WITH
    steps AS
    (
        SELECT 1 AS one, decided_at, enabled, stage, live, candidate, instruments FROM rollout_at
    ),
    said AS
    (
        SELECT
            venue, symbol, feed_source, source, arm, label, summary, window_end, source_log, run,
            toInt64(source_offset) AS place,
            NOT whole OR usable_events = 0 AS is_broken,
            assumeNotNull(decided_at) AS known_from
        FROM regimes_once
        WHERE isNotNull(decided_at)
    ),
    rule AS -- with the last place at which what held before it ended: a book that broke, or another label
    (
        SELECT
            *,
            max(ended) OVER (
                PARTITION BY venue, symbol, feed_source, source_log ORDER BY place ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS ended_at
        FROM
        (
            SELECT
                *,
                multiIf(
                    is_broken, place,
                    label != lagInFrame(label) OVER before, lagInFrame(place, 1, -1) OVER before,
                    -1
                ) AS ended
            FROM said
            WHERE source = 'rule'
            WINDOW before AS (
                PARTITION BY venue, symbol, feed_source, source_log ORDER BY place ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            )
        )
    ),
    llm AS
    (
        SELECT * FROM said WHERE source != 'rule' AND notEmpty(arm)
    ),
    moments AS -- at which something can change
    (
        SELECT venue, symbol, feed_source, known_from AS moment FROM said
        UNION DISTINCT
        SELECT venue, symbol, feed_source, window_end + toIntervalMinute(1) FROM llm
        UNION DISTINCT
        SELECT of.venue, of.symbol, of.feed_source, steps.decided_at
        FROM (SELECT DISTINCT venue, symbol, feed_source FROM llm) AS of
        CROSS JOIN steps
    ),
    ruled AS
    (
        SELECT
            1 AS one,
            moments.venue AS venue, moments.symbol AS symbol, moments.feed_source AS feed_source,
            moments.moment AS moment,
            rule.label AS rule_label, rule.summary AS rule_summary, rule.window_end AS rule_window_end,
            rule.known_from AS rule_known_from, rule.source_log AS rule_log, rule.ended_at AS ended_at, rule.run AS rule_run
        FROM moments
        ASOF INNER JOIN rule
            ON rule.venue = moments.venue AND rule.symbol = moments.symbol AND rule.feed_source = moments.feed_source
            AND rule.known_from <= moments.moment
    ),
    staged AS
    (
        SELECT
            ruled.venue AS venue, ruled.symbol AS symbol, ruled.feed_source AS feed_source, ruled.moment AS moment,
            ruled.rule_label AS rule_label, ruled.rule_summary AS rule_summary,
            ruled.rule_window_end AS rule_window_end, ruled.rule_known_from AS rule_known_from,
            ruled.rule_log AS rule_log, ruled.ended_at AS ended_at, ruled.rule_run AS rule_run,
            steps.stage AS stage, steps.candidate AS candidate, steps.live AS live,
            steps.enabled AND (
                steps.stage = 'promoted'
                OR (steps.stage = 'canary' AND has(steps.instruments, concat(ruled.venue, ':', ruled.symbol)))
            ) AS is_rolled_out
        FROM ruled
        ASOF LEFT JOIN steps ON steps.one = ruled.one AND steps.decided_at <= ruled.moment
    ),
    answered AS
    (
        SELECT
            staged.venue AS venue, staged.symbol AS symbol, staged.feed_source AS feed_source,
            staged.moment AS moment, staged.stage AS stage, staged.rule_run AS rule_run,
            staged.rule_label AS rule_label, staged.rule_summary AS rule_summary,
            staged.rule_window_end AS rule_window_end, staged.rule_known_from AS rule_known_from,
            first.arm AS first_arm, first.label AS first_label, first.summary AS first_summary,
            first.window_end AS first_window_end, first.known_from AS first_known_from,
            staged.is_rolled_out AND first.source_log = staged.rule_log AND first.place > staged.ended_at
                AND first.window_end <= staged.rule_window_end AND staged.moment < first.window_end + toIntervalMinute(1) AS first_holds,
            second.arm AS second_arm, second.label AS second_label, second.summary AS second_summary,
            second.window_end AS second_window_end, second.known_from AS second_known_from,
            staged.is_rolled_out AND second.source_log = staged.rule_log AND second.place > staged.ended_at
                AND second.window_end <= staged.rule_window_end AND staged.moment < second.window_end + toIntervalMinute(1) AS second_holds
        FROM staged
        ASOF LEFT JOIN llm AS first
            ON first.venue = staged.venue AND first.symbol = staged.symbol AND first.feed_source = staged.feed_source
            AND first.arm = staged.candidate AND first.known_from <= staged.moment
        ASOF LEFT JOIN llm AS second
            ON second.venue = staged.venue AND second.symbol = staged.symbol AND second.feed_source = staged.feed_source
            AND second.arm = staged.live AND second.known_from <= staged.moment
    ),
    held AS
    (
        SELECT
            venue, symbol, feed_source, moment, rule_label, stage, rule_run,
            if(first_holds OR second_holds, 'llm', 'rule') AS source,
            multiIf(first_holds, first_arm, second_holds, second_arm, '') AS arm,
            multiIf(first_holds, first_label, second_holds, second_label, rule_label) AS label,
            multiIf(first_holds, first_summary, second_holds, second_summary, rule_summary) AS summary,
            multiIf(first_holds, first_window_end, second_holds, second_window_end, rule_window_end) AS window_end,
            multiIf(first_holds, first_known_from, second_holds, second_known_from, rule_known_from) AS decided_at
        FROM answered
    ),
    changed AS
    (
        SELECT
            *,
            lagInFrame(tuple(source, arm, rule_label, window_end, stage)) OVER (
                PARTITION BY venue, symbol, feed_source ORDER BY moment ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS before
        FROM held
    )
SELECT
    venue,
    symbol,
    feed_source,
    moment AS since,
    leadInFrame(moment, 1, toDateTime64('2262-01-01 00:00:00', 9, 'UTC')) OVER (
        PARTITION BY venue, symbol, feed_source ORDER BY moment ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until,
    source,
    arm,
    label,
    rule_label,
    summary,
    window_end,
    decided_at,
    stage,
    rule_run AS run
FROM changed
WHERE tuple(source, arm, rule_label, window_end, stage) != before;
