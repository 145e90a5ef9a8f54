"""Pydantic models of REST requests and responses."""
