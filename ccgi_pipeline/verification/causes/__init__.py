"""Causes: what probably happened to a file as a whole, told once in place of what it broke."""
