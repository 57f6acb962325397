-- How far a language model was rolled out at a moment t: the change with decided_at <= t < until.
-- Changes are numbered; who controlled the rollout and was overtaken in the meantime can tell a number again, or a lower
-- one, and changes nothing by it. A topic that was made anew numbers anew.
--: until when the next change was decided; far in the future where none was yet
CREATE OR REPLACE VIEW rollout_at AS
WITH
    told AS
    (
        SELECT
            *,
            max(step) OVER (
                PARTITION BY source_log ORDER BY source_offset ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS highest_before
        FROM rollout
    )
SELECT
    decided_at,
    leadInFrame(decided_at, 1, toDateTime64('2262-01-01 00:00:00', 9, 'UTC')) OVER (
        ORDER BY decided_at ASC, stored_at ASC, k_off ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until,
    step,
    enabled,
    stage,
    percent,
    instruments,
    live,
    candidate,
    is_held,
    stage_since,
    reason,
    decided_by,
    questions,
    failure,
    slow,
    unfaithful,
    worth,
    e_better,
    e_worse,
    marks,
    guard
FROM told
WHERE step > highest_before;
