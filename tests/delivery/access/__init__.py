"""Permission changes while clients watch."""
