"""One run of a task: context, heartbeat, lease, steps, outcome."""
