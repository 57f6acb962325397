"""The heart: the book, its validity state machine and its checks."""
