"""Triggers: polling only, the shortest of the three (operator, backend, trigger)."""
