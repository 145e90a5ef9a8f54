"""Worker code in one process."""
