"""Permissions and signed messages."""
