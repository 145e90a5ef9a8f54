"""Log lines and captured output."""
