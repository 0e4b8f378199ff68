"""Benchmarks: what the project takes, beside the least that anything could take.

Belongs here: ``ccgi bench`` for the night and its parts. Seconds depend on the machine, so each
figure stands beside a floor that was measured in the same run. The look-up and SFTP measure
themselves, in their own rooms.
"""
