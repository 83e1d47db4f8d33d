"""The point-in-time join: the rule as an oracle, and DuckDB doing the same fast."""
