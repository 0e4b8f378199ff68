"""What every HTTP service of the project shares.

Belongs here: the limits of connections, which sites' pages may use a service, refusals, and how
uvicorn is set up. Does not belong here: what a service answers.
"""
