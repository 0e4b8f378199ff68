"""What every district gets: one declaration and one query a report, written letter by letter."""
