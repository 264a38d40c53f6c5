"""Jobs by way of Redis: what is kept of them there, the Celery app, and what workers do."""
