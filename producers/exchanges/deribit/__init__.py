"""Deribit: one venue, its frames and its rules."""
