"""Anomalies: episodes in which a book is not as it was, each opened and closed once, with its evidence."""
