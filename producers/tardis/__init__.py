"""Tardis, a vendor of venues' data: its datasets and its normalised messages, in our words. Pure."""
