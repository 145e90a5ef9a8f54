"""The domain: instances, tasks, steps, events and schedules. Knows no Flask, no eventlet and no agent."""
