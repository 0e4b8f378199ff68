"""Notices: what the operator is told unasked, by mail and by webhook, each state once."""
