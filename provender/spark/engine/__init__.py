"""Programs inside the local engine, in a folder of their own: Spark puts a driver program's on Python's path."""
