"""Market regimes: windows of factors, rules with hysteresis, and the question asked of a language model."""
