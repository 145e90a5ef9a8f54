"""Rules for words, names and texts."""
