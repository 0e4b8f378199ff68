"""Offline analysis of matching: wider rules, and how many students a key finds."""
