"""Who somebody is: passwords, users, sessions, tokens of ours and of a provider's."""
