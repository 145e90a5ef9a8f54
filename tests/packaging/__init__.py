"""Tests of what is released: the wheel, the sdist, and what they install."""
