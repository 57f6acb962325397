"""Is it working? What every role is doing now, as plain tables, on any deployment: `obflow status` and `obflow top`.

A role says what only it knows by a function `(settings) -> iterable of StatusTable` in the entry-point group
`obflow.status`. Nothing is changed by looking: logs, tables and the roles' own pages are read.
"""
