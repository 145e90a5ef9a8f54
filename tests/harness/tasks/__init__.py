"""Tasks for tests: agents, submissions, and the events of a task."""
