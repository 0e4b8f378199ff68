"""Runs nights and serves the UI on this machine."""
