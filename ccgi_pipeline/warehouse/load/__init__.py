"""What writes rows into the warehouse: upsert, ledger, guard, replays."""
