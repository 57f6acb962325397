"""Signals: a state an instrument and kind, FLAT, LONG or SHORT, and the steps from one to another."""
