"""Process state between runs."""
