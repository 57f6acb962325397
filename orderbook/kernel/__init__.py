"""The book for compiled code: sizes by price in pages of integers, without a Python object a level."""
