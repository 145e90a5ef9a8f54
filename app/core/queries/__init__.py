"""Reads for callers: views, pages and snapshots, limited to what the caller may see."""
