"""Roll a model version out: smoke test, canary, promotion, rollback."""
