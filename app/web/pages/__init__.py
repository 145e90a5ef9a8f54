"""HTML pages: views, login, instance settings."""
