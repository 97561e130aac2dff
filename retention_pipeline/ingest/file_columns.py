"""A column that a file has, and what can be read out of it: its value as text, a part of an object in it."""

from __future__ import annotations

from dataclasses import dataclass

from retention_pipeline.ingest.schema import literal


@dataclass(frozen=True)
class FileColumn:
    """A column that a file has: its name there, the expression that reads it, and the expression's DuckDB type.

    An empty name: it is made, and no column of the file alone. `holder`: of a part of an object, the expressions for
    whether the row has such an object, and whether that has such a part. `is_repeated`: the header has the name more
    than once.
    """

    name: str
    expression: str
    type: str = "VARCHAR"
    holder: tuple[str, str] | None = None
    is_repeated: bool = False

    @property
    def text(self) -> str:
        """The value as text; whole numbers that came as floating point lose their '.0'."""
        expression = self.expression
        if self.type == "VARCHAR":
            return expression
        if self.type in ("DOUBLE", "FLOAT"):
            whole = f"cast(cast({expression} as bigint) as varchar)"
            is_whole = f"{expression} = trunc({expression}) and abs({expression}) < 1e15"
            return f"case when {is_whole} then {whole} else cast({expression} as varchar) end"
        if self.type.startswith(("STRUCT", "MAP")) or self.type.endswith("]"):
            return f"cast(to_json({expression}) as varchar)"
        return f"cast({expression} as varchar)"


def found_column(name: str, in_file: dict[str, FileColumn]) -> FileColumn | None:
    """The column of a name, or the part of an object that a path such as `customer.id` names."""
    if name in in_file:
        return in_file[name]
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        holder = in_file.get(".".join(parts[:length]))
        if holder is not None:
            return _part(holder, parts[length:])
    return None


def _part(holder: FileColumn, path: list[str]) -> FileColumn:
    pointer = literal("".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path))
    text = holder.text
    is_object = f"coalesce(case when json_valid({text}) then json_type({text}) in ('OBJECT', 'ARRAY') end, false)"
    return FileColumn(
        "",
        f"case when {is_object} then json_extract_string({text}, {pointer}) end",
        holder=(is_object, f"case when {is_object} then json_exists({text}, {pointer}) else false end"),
    )
