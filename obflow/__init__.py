"""The shared runtime: settings, clients, metrics, logs, lifecycle, the embedded default. No domain words in here."""
