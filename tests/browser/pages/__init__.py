"""Tests of one page each."""
