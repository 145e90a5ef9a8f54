"""Tests of worker code, in the process of the test."""
