"""What crosses a process boundary: records, topics, the factor list, codec, digest, errors."""
