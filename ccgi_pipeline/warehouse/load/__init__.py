"""Everything that writes rows into the warehouse: upsert, ledger, roster guard, approvals, erasure.

Does not belong here: connections and table definitions (storage), only reading (queries).
"""
