"""The SSID Data Lookup: CCCApply asks for a student's SSID, and the state's side answers.

The service: ``contract`` has the fields and answers, ``store`` the index of students,
``client_registry`` the clients and tokens, ``limits`` the hourly limit, ``enrollments`` the
verifications that come back later. ``authorization`` and ``service`` are the HTTP around them,
``server`` starts it, ``journal`` writes its logs.

The other end: ``client`` sends one request, ``batch`` sends many within the hourly limit, and
``backlog`` keeps their answers. ``research`` analyses how well students can be told apart.
"""
