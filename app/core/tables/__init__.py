"""The SQLAlchemy models, encrypted columns, and rows that cannot be read."""
