"""Encryption at rest: keys, sealed files, SQLite files and DuckDB's temporary files."""
