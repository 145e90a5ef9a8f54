"""Rules about the source code: imports, writers, private names, sizes and words."""
