"""Signed tokens for tests, and an identity provider that issues them."""
