"""Tests of the text engines and the document fetcher."""
