"""Processes of this machine: start, find again, end."""
