"""Topics to ClickHouse tables, without loss or duplicates."""
