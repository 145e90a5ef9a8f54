"""Schemas of the nouns of the domain: what every entry point shows, and what the OpenAPI document describes."""
