"""Tests of the process state between runs."""
