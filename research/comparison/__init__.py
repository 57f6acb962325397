"""Models side by side: the same questions to each, and one table of what came of them.

Pure: windows and answers in, a choice or a table out. `research/compare_commands.py` is the edge.
"""
