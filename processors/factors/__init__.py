"""Factors of order books: what goes into an engine and comes out, and the engines."""
