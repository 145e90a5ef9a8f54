"""Tests of receiving from Redis."""
