"""The embedded default: a real Kafka broker and a real ClickHouse engine, without Docker or a system Java.

Nothing is imported here, so that `import embedded` costs nothing and needs no optional package.
"""
