"""The compiled engine: the reference's factors, to the bit, from integers in pages and without an object a record."""
