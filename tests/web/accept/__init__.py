"""Connections before Flask."""
