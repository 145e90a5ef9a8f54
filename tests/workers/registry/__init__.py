"""Tests of the discovery of agents."""
