"""Endpoints for operators: health, metrics, the OpenAPI document."""
