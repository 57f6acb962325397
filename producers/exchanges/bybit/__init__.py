"""Bybit: one file a venue; `family`, `frames` and `rules` are what they share."""
