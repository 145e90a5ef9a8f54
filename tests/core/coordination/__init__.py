"""State that processes share through the database."""
