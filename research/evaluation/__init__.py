"""What judgements of regimes are worth: forecasts that were known at each minute, scored by what came after it.

Pure: rows in, a report out. `research/evaluate_commands.py` is the edge.
"""
