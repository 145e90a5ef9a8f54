"""Who may call what, and what is audited."""
