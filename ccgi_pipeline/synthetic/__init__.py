"""Generates a synthetic inbox, with files as California's districts send them.

``state`` calls the other modules in this order: ``places`` (districts and schools), ``people``
(their students), ``courses`` (the courses they took, and their marks), ``transcripts`` and
``test_scores`` (the district's transcript files), ``activity`` (events on the platform),
``foster_focus`` (extracts about foster youth), ``oneroster`` (rosters as student systems export
them), ``defects`` (planted errors) and ``file_output`` (text, separators, files). ``identities`` is
separate: the whole state's students and their applications, for the SSID look-up. Figures and names
are data in ``rates``, ``names``, ``place_names``, ``course_list``, ``activity_list``, ``colleges``,
``foster_focus.lists`` and the package's register of real districts.

Belongs here: making files that look like received ones. Does not belong here: reading or verifying
them, and the declarations of files; column names, order, forms and codes come from ``feeds``. The
same arguments give the same bytes: nothing reads the clock, and every draw comes from the seed.
"""

from ccgi_pipeline.synthetic.state import GeneratedState, PlantedDefect, generate

__all__ = ["GeneratedState", "PlantedDefect", "generate"]
