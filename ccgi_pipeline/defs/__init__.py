"""Dagster: assets, checks, jobs, schedules, sensors. They gather and act; they decide nothing."""
