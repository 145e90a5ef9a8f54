"""Rules for every HTTP request: hosts, origins, proxies, headers, error responses."""
