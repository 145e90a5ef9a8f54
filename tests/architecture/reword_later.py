"""Files and folders whose names and texts are not reworded yet."""

REWORD_LATER: frozenset[str] = frozenset()
