"""Dagster: assets, checks, jobs, schedules, sensors and resources; the steps are in ``nightly``."""
