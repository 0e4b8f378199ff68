"""Small, general building blocks: errors, progress, prefetch, failpoints, environment, runbook."""
