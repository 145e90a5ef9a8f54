"""Tests of messages from brokers."""
