"""What is read from the warehouse: receipts, health, lineage, rosters.

Does not belong here: writing rows (load), the queries of the reports (reports).
"""
