"""Users, sessions, API tokens and identity providers: who a caller is."""
