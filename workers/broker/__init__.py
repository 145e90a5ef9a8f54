"""Messages from Redis and RabbitMQ, checked before Celery handles them."""
