"""Rate limits and quotas, per process and shared through Redis."""
