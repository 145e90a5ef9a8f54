"""The agents that a worker knows, and their announcement in the database."""
