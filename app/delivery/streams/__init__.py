"""One stream per subscribed instance: takes messages in, fills gaps from the database, and delivers to clients."""
