"""The domain core, by itself: on SQLite always, and the same tests on PostgreSQL where it is there."""
