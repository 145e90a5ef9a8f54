"""Tests of the text providers and the document fetcher."""
