"""The base of all tables of the settings file.

Belongs here: how strictly a table is read, and kinds of values that tables in several modules have.
Does not belong here: the tables (``profiles``, ``profile_oneroster_api``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# TOML has lists and a frozen setting has tuples: only this conversion is allowed.
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class SettingsTable(BaseModel):
    """A table of the settings file: only known keys, only values of TOML's own types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
