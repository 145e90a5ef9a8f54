"""The agents that a worker knows, and their cards."""
