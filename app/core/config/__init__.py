"""Settings: one frozen object per process, read from the environment, one file per group."""
