"""What is kept: DuckLake tables made from the feeds, upsert by key, the ledger of every line."""
