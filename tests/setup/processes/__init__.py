"""Tests of the commands that run processes, and of their supervisor."""
