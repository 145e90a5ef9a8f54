"""The web process: REST, its document, headers, health and metrics, asked in this process."""
