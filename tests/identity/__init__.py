"""Passwords, users, sessions, tokens that are issued here, and tokens of an identity provider."""
