"""State of one request: caller, session cookie, CSRF token, JSON body."""
