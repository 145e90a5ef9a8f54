"""Messages from brokers."""
