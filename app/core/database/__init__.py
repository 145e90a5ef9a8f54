"""Database access: engines, transactions and retries, the SQLite write lock, migrations."""
