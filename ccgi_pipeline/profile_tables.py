"""The base of all tables of the settings file.

Belongs here: how strictly a table is read, how its schema tells what a setting means, and kinds of
values that tables in several modules have. Does not belong here: the tables (``profiles``,
``profile_oneroster_api``).
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler

# TOML has lists and a frozen setting has tuples: only this conversion is allowed.
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class SettingsTable(BaseModel):
    """A table of the settings file: only known keys, only values of TOML's own types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls,
        core_schema: Any,  # noqa: ANN401 - pydantic's signature
        handler: GetJsonSchemaHandler,
    ) -> dict[str, Any]:
        """Describes each setting by the text below it.

        pydantic can do so for each start of the program, which takes a twentieth of a second.
        """
        schema = handler(core_schema)
        settings = handler.resolve_ref_schema(schema)["properties"]
        for name, text in _texts_below_settings(cls):
            settings[name]["description"] = text
        return schema


def _texts_below_settings(table: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yields the settings that the source of a table declares, with the text below each."""
    (declared,) = ast.parse(inspect.getsource(table)).body
    if not isinstance(declared, ast.ClassDef):
        return
    for setting, below in pairwise(declared.body):
        match setting, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
