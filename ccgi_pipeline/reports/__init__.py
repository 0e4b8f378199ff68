"""Declares, queries and writes the reports that districts get: one spec and one SQL file each."""
