"""OKX: one venue, its frames and its rules."""
