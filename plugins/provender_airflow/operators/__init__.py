"""Operators, one module per outside vocabulary."""
