"""Where a warehouse lies: connections, tables, locks, copies."""
