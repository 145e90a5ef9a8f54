"""Commands of users."""
