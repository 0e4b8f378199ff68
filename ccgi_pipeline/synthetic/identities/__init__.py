"""Student identities of the whole state, and college applications about them, out of nothing.

``namesakes`` says how many students share a name and a birth date, ``students`` makes them,
``applications`` makes what some of them sent to a college, with the ``mistakes`` that people make
and the ``nicknames`` that they go by.

Belongs here: what the SSID Data Lookup is loaded with and asked, with the truth known. Does not
belong here: the look-up itself and its analysis (``ssid_lookup``), or any file. The same arguments
give the same rows.
"""

from ccgi_pipeline.synthetic.identities.applications import APPLICATION_SCHEMA, applications
from ccgi_pipeline.synthetic.identities.mistakes import MISTAKES
from ccgi_pipeline.synthetic.identities.namesakes import PUBLISHED
from ccgi_pipeline.synthetic.identities.students import IDENTITY_SCHEMA, identities

__all__ = [
    "APPLICATION_SCHEMA",
    "IDENTITY_SCHEMA",
    "MISTAKES",
    "PUBLISHED",
    "applications",
    "identities",
]
