"""Redis pub/sub for the hub: subscription, message format, self-check."""
