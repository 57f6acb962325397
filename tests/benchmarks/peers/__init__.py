"""What obflow is measured beside: tardis-node's mappers of book changes, in a process of Node (`make bench-peers`)."""
