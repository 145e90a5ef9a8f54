"""Files that were above a limit of size when it was lowered. A file leaves this list when it is split."""

SPLIT_LATER: frozenset[str] = frozenset()
