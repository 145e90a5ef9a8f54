"""Start and stop of the web process."""
