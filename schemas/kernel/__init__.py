"""Records in compiled code, many at a time: how functions are compiled, Avro's parts, and what becomes columns."""
