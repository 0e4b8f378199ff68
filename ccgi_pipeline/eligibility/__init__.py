"""Estimates CSU and UC eligibility from a district's course history, with reasons.

The data pass through ``history`` (lines of the course history become comparable courses;
``courses`` names their kinds), ``attempts`` (which attempt at a repeated course counts),
``subjects`` (years of each area), ``averages`` and ``evaluation`` (status and reasons). Differences
between the two systems are data in ``systems``. docs/eligibility.md explains the rules. All
functions are pure. Does not belong here: where courses come from, what a report prints.
"""
