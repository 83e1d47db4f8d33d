"""From the logs to the online store: what is due, who writes it, and the record of it."""
