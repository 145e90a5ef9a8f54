"""The Python client of the REST API, with a transport of the test."""
