"""Arbitrage: two books of one canonical symbol, walked against each other."""
