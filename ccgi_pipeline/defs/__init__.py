"""Dagster: assets, checks, jobs, schedules, sensors. They gather and act; nothing is decided here."""
