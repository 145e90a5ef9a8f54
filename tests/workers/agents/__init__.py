"""Tests of the built-in agents."""
