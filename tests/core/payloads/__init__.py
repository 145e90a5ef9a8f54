"""Values of agents and callers: limits, redaction, exact storage."""
