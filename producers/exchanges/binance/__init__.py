"""Binance: one file a venue; `frames` reads the JSON they share, `rules` has their rules of sequence."""
