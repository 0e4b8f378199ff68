"""CSU and UC eligibility: an estimate from a district's course history, and why.

The way of the data: ``history`` (lines of the course history to comparable courses, with
``courses`` naming their kinds), ``attempts`` (which of repeated courses stands), ``subjects``
(years of each area), ``averages``, ``evaluating`` (status and reasons). What differs between the
two systems is data in ``systems``. The rules are told in docs/eligibility.md. Pure: frames in,
frames out. Does not belong here: where courses come from, what a report prints.
"""
