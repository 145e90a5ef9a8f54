"""The Celery half of Swallowtail: claims, runs and journals tasks; knows no web."""
