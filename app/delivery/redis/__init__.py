"""The Redis subscription of one web process: its channels, its event loop reader, and its self-check."""
