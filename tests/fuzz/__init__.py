"""Generated input by the thousand: nothing breaks, nothing of another tenant comes to light. `--cases N` of each."""
