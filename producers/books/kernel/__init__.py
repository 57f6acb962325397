"""Depth updates compiled: from the text of their levels into the book and the bytes of their record."""
