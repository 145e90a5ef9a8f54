"""Tests of how documents are read."""
