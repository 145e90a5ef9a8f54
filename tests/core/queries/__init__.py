"""Views, pages and snapshots."""
