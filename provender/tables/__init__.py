"""Delta tables by URI: raw tables, feature logs, their files and their repair."""
