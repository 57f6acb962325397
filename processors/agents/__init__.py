"""Faust agents: what happens to each event of a stream."""
