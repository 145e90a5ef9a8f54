"""Rules for the use of third-party libraries."""
