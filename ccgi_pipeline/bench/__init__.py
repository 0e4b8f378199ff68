"""Benchmarks: the seconds and memory of the project, each beside a floor.

Belongs here: everything that ``ccgi bench`` measures. Seconds depend on the machine, so each figure
is shown beside a floor, the least that the work could take, which the same run measures.
"""
