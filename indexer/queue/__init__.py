"""Jobs through Redis: their records, the Celery app, and the workers."""
