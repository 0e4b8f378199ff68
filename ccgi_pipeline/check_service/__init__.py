"""The service that checks files in a browser before they are sent.

Belongs here: its page, taking uploads, a process for each of them, and its limits. Does not belong
here: judging files (``verification``).
"""
