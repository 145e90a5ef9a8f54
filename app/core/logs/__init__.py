"""Log lines as text or JSON, and output that bypasses the logger."""
