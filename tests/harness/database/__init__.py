"""Databases for tests: their tables, refused writes and the statements that they execute."""
