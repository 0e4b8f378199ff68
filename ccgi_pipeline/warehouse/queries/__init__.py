"""What is read from the warehouse: receipts, health, lineage, rosters."""
