"""Instances over REST."""
