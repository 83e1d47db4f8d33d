"""Upkeep of tables: compaction, removed files, expired values."""
