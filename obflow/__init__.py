"""The shared runtime: settings, clients, metrics, logs, lifecycle. No domain words in here."""
