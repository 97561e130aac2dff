"""Columns of a contract that are made from columns of a source: the short forms that need no query."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from retention_pipeline.settings.kinds import Strict

# What would make more of an expression than a calculation with the values of one row.
NOT_IN_EXPRESSIONS = {"select", "from", "with", "values", "table", "describe", "show", "pivot", "over", "lambda"}
_TOKENS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*|[0-9.]+|\s+|<=|>=|<>|!=|\|\||::|->>?|.""", re.DOTALL
)
_DIRECTIVES = re.compile(r"%-?(.)")
_KNOWN, _OF_YEARS, _OF_TIMES = set("aAbBdmyYHIpMSfgnzZjuweGVUW%"), set("yYG"), set("HIMS")


class Constant(Strict):
    """A contract column that has one value in every row of the source."""

    constant: str | int | float | bool | date

    @property
    def text(self) -> str:
        return str(self.constant).lower() if isinstance(self.constant, bool) else str(self.constant)


class RowHash(Strict):
    """A key column made from the row's content and its number among equal rows of the file, for sources without one.

    A file delivered twice, or a later export that holds the earlier rows too, changes nothing, and equal rows of one
    file stay apart. Equal rows that come in different files are taken for the same row.
    """

    row_hash: Literal[True]


class Made(Strict):
    """A contract column made from one or more columns of the same row.

    `column`: one of them. `first_of`: the first that has a value; those that the file lacks are passed over.
    `expression`: a calculation such as `Quantity * UnitPrice`. Of what one of these gives, `format` says how a time is
    written (as in %d/%m/%Y %H:%M, one or several; `epoch`: seconds, milliseconds or microseconds since 1970), and
    `lower` makes small letters.
    """

    column: str | None = None
    first_of: Annotated[list[str], Field(min_length=1)] | None = None
    expression: str | None = None
    format: list[str] | None = None
    lower: bool = False

    @field_validator("format", mode="before")
    @classmethod
    def _list_of_formats(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("format")
    @classmethod
    def _known_formats(cls, formats: list[str] | None) -> list[str] | None:
        for one in formats or ():
            parts = _DIRECTIVES.findall(one)
            if one != "epoch" and (not set(parts) <= _KNOWN or not _OF_YEARS & set(parts)):
                raise ValueError(f"{one!r} is not a form of a date, such as %d/%m/%Y or %m/%d/%Y %H:%M, nor epoch")
        return formats

    @field_validator("expression")
    @classmethod
    def _calculation(cls, expression: str | None) -> str | None:
        words = {token.lower() for token in tokens_of(expression or "")}
        wrong = sorted(words & (NOT_IN_EXPRESSIONS | {";", "--"}))
        if wrong or "--" in (expression or "") or "/*" in (expression or ""):
            raise ValueError(f"a calculation with the columns of one row is expected, without {wrong or 'comments'}")
        return expression

    @model_validator(mode="after")
    def _one_of_three(self) -> Made:
        if sum(given is not None for given in (self.column, self.first_of, self.expression)) != 1:
            raise ValueError("give one of column, first_of and expression")
        return self


def tokens_of(expression: str) -> list[str]:
    """The words, texts, numbers and signs of an expression, blanks left out."""
    return [token for token in _TOKENS.findall(expression) if not token.isspace()]


def has_time(form: str) -> bool:
    """Whether a form of `format` has a time of day, and not a day alone."""
    return form == "epoch" or bool(_OF_TIMES & set(_DIRECTIVES.findall(form)))


def _kind(given: Any) -> str:
    if isinstance(given, Constant | RowHash | Made):
        return type(given).__name__
    if not isinstance(given, dict):
        return "str"
    return "Constant" if "constant" in given else "RowHash" if "row_hash" in given else "Made"


MappedColumn = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[Constant, Tag("Constant")]
    | Annotated[RowHash, Tag("RowHash")]
    | Annotated[Made, Tag("Made")],
    Discriminator(_kind),
]
