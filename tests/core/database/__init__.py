"""Transactions, retries, migrations and the SQLite write lock."""
