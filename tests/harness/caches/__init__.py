"""What a test run reads or compiles once for all tests."""
