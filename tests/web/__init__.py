"""Tests of the web process: REST, pages, headers, health and metrics, in the test process."""
