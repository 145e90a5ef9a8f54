"""Generated input by the thousand: nothing breaks, and nothing of another tenant comes to light. `--cases N` of each."""
