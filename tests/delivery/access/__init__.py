"""Permission changes while clients are subscribed."""
