"""Cron times, schedules and their firing."""
