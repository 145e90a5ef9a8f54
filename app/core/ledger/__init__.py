"""The only writers of task, step, event and outbox rows."""
