"""Health, metrics, OpenAPI, queries."""
