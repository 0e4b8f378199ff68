"""What an operator does by hand: replay, purge, rebuild, trace, and the audit log of such acts.

Belongs here: what a command does, over several rooms. Does not belong here: rows (warehouse), what
a night does by itself (nightly), asking and printing (cli).
"""
