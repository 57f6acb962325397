-- What requests to language models cost, a day and model. A request is paid whatever came of it, and a recording that was
-- replayed twice was paid twice: every request counts. An instrument that is never asked about has a row and no request.
--: day of the request's departure, UTC
--: requests how many left
--: answers those with a valid answer, in time
--: unpriced requests whose cost is not known
--: input_tokens as reported; null where none was
--: output_tokens as reported; null where none was
--: cost_usd of the requests with a known cost; null where there is none [USD]
--: usd_per_request over those requests [USD]
--: usd_per_answer what an answer cost, failures included; null without one [USD]
CREATE OR REPLACE VIEW llm_costs AS
SELECT
    toDate(started_at, 'UTC') AS day,
    model,
    count() AS requests,
    countIf(outcome = 'ok') AS answers,
    countIf(isNull(llm_calls.cost_usd)) AS unpriced,
    sum(llm_calls.input_tokens) AS input_tokens,
    sum(llm_calls.output_tokens) AS output_tokens,
    sum(llm_calls.cost_usd) AS cost_usd,
    avg(llm_calls.cost_usd) AS usd_per_request,
    sum(llm_calls.cost_usd) / nullIf(answers, 0) AS usd_per_answer
FROM llm_calls
WHERE outcome != 'not_asked'
GROUP BY day, model;
