"""Other validators beside ``ccgi check``: the same files, the same rules, one run.

Belongs here: ``ccgi bench peers``. Rules are derived from the declarations (``rules``), faults are
planted (``faults``), each tool judges in a process of its own (``pandera``, ``frictionless``,
``great_expectations``, ``ours``; ``exchange`` is what they share), answers are judged
(``judgement``), and ``comparison`` runs it all. The tools are not among the project's dependencies:
``make setup-peers`` makes an environment with them. Their modules therefore import them inside
functions, and nothing else of the project.
"""
