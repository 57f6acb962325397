"""From messages to records, instrument by instrument: pure."""
