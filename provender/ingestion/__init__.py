"""Ingest: from staged files to checked raw rows and feature rows."""
