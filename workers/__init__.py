"""The Celery half of Swallowtail: claims tasks, runs their agents and records their steps."""
