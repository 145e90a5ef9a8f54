"""What a new user does with the installed package."""
