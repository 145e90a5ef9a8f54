"""Permissions, passwords, signing keys and signed messages."""
