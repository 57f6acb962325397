"""On top of the roles' pure parts: verify, factors, book, audit."""
