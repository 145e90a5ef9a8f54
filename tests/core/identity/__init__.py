"""Users and members."""
