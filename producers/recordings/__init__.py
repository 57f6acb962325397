"""Recordings: read, written, replayed into Kafka."""
