"""California's district data sharing: files in, verified and loaded, reports and receipts out.

The way of the data is the order of the rooms: ``intake`` (bytes to text), ``feeds`` (what a file
must be), ``verification`` (what is wrong with it), ``warehouse`` (what is kept), ``reports`` (what
a district gets). ``defs`` hands them to Dagster; nothing else knows Dagster.
"""
