"""Command-line entrances."""
