"""Tasks from REST, CLI and beat to their end."""
