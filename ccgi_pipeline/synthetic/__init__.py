"""The synthetic generator: an inbox of files as California's districts send them, out of nothing.

The way through the house is the way of the data: ``places`` (districts and schools), ``people``
(their students), ``courses`` (what these took, with what marks), ``transcripts`` and
``tests_taken`` (how the district's files say so), ``activity`` (what they did on the platform),
``foster_focus`` (the extracts about those of them who are foster youth), ``oneroster`` (their
rosters as student systems export them), ``defects`` (what goes wrong in real files), ``writing``
(text, separators, files) and ``state``, which calls them all. ``identities`` stands apart: the
whole state's students and applications about them, for the SSID look-up.
Figures and names are data in ``shares``, ``names``, ``place_names``, ``course_list``,
``activity_list``, ``colleges``, ``foster_focus.lists`` and the package's register of real
districts.

Belongs here: making files that look like received ones. Does not belong here: reading or judging
them, and what a file must be; names, order, forms and codes come from ``feeds``. The same
arguments give the same bytes: nothing asks for the time, and every draw comes from the seed.
"""

from ccgi_pipeline.synthetic.state import GeneratedState, PlantedDefect, generate

__all__ = ["GeneratedState", "PlantedDefect", "generate"]
