"""One function per command of a user: every entrance (REST, CLI, beat, UI) calls these."""
