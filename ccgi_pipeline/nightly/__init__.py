"""The steps of a night in their order: receive, verify, load, evaluate, report, respond, deliver.

Belongs here: what a step does, in which order, with which folders. Does not belong here: SQL, locks
and threads (they are in the rooms that own them), Dagster (defs).
"""
