"""What an operator does by hand: replay, purge, rebuild, trace, and the audit log of it."""
