"""Hosts, origins, proxies and headers."""
