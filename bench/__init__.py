"""Benchmarks: every figure stands next to its peer, measured in the same run on the same data."""
