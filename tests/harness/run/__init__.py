"""What holds for a whole run of the tests."""
