"""The domain core against real servers: Redis, PostgreSQL, RabbitMQ."""
