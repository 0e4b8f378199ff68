"""Small, general building blocks; nothing here knows what the pipeline does."""
