"""How a warehouse is stored: location, connections, table definitions, locks, staging, copies.

Belongs here: what is true of any rows. Does not belong here: writing rows (load), reading them
(queries).
"""
