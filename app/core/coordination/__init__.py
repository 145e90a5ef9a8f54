"""State that processes share through the database: periodic locks, live workers, clock jumps."""
