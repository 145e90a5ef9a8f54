"""Operating-system helpers: supervised child processes, worker threads, private files."""
