"""The SSID Data Lookup: CCCApply asks which SSID a student has; the state's side answers.

``contract`` says what may be asked and answered, ``store`` knows the students, ``clients`` who may
ask, ``limits`` how often, ``enrollments`` what comes back later; ``authorization`` and ``service``
are the HTTP around them, ``serving`` starts it, ``journal`` keeps its logs and ``measuring`` times
it. On the other end ``asking`` asks within the hour's budget, and ``backlog`` keeps what was
answered. ``uniqueness`` and ``rules_of_matching`` analyse how well students can be told apart.
"""
