"""What is kept: DuckLake tables made from the feeds, upsert by key, and the ledger of every line."""
