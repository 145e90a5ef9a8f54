"""The clients of one process: who they are, where their cursors stand, and what each group of them is sent."""
