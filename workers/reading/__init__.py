"""Reads documents of any kind into blocks of clean text, in a process of its own."""
