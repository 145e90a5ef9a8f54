"""Generated input: nothing breaks, and no tenant sees another's data. `--cases N` sets their number."""
