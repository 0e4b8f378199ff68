"""The data dictionary: every feed, column, rule, cause and report, from their declarations.

Belongs here: its forms, a module each: JSON (``objects``), Markdown, data contracts (ODCS), data
packages (Frictionless) and the site. All facts come from the declarations.
"""
