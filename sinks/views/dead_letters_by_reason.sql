-- What was refused, by whom and why. Letters are counted once, however often they were written.
--: letters dead letters, each once
--: first_received_at when the first refused message was received
--: last_received_at when the last refused message was received
CREATE OR REPLACE VIEW dead_letters_by_reason AS
SELECT role, source_topic, reason, count() AS letters, min(received_at) AS first_received_at, max(received_at) AS last_received_at
FROM dead_letters FINAL
GROUP BY role, source_topic, reason;
