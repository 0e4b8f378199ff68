"""Turns received bytes into text without losing a line: inboxes, archive, zips, strict reader."""
