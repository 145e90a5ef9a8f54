"""Background threads of the web process."""
