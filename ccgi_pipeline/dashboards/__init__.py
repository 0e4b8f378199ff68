"""Pages with pictures, without a server: one for each district, one for the state.

Belongs here: which facts a page shows, its form, its charts, and writing the pages that change. A
page is one file of HTML that needs nothing from elsewhere. Counts, codes, verdicts and nights:
nothing of a student. Does not belong here: queries (warehouse.queries, reports.funnels), receipts
(verification.receipt_html).
"""
