"""Delivery under concurrent writers and clients."""
