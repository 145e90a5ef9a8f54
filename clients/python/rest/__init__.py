"""Requests to the REST API, described once for the blocking client and the asyncio client."""
