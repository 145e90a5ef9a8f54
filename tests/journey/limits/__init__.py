"""Floods and incomplete requests."""
