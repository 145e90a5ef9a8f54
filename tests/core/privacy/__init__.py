"""Secrets in text, and encryption at rest."""
