"""One CSV record from its text, strictly after RFC 4180, but for `="0042"`, which spreadsheets leave as it is."""

from __future__ import annotations


class BrokenRecordError(ValueError):
    """The text is not a record; `open_quote` is true if more lines could still complete it."""

    def __init__(self, reason: str, open_quote: bool = False) -> None:
        super().__init__(reason)
        self.open_quote = open_quote


def split_record(text: str, delimiter: str) -> list[str | None]:
    """The values of one CSV record; an empty unquoted value is None. Raises BrokenRecordError."""
    values: list[str | None] = []
    at, size = 0, len(text)
    while True:
        if at < size and text[at] == '"':
            parts = []
            at += 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    raise BrokenRecordError("a quote is not closed", open_quote=True)
                parts.append(text[at:end])
                if text[end + 1 : end + 2] != '"':
                    break
                parts.append('"')
                at = end + 2
            values.append("".join(parts))
            at = end + 1
            if at < size and text[at] != delimiter:
                raise BrokenRecordError("text follows a closing quote")
        else:
            end = text.find(delimiter, at)
            end = size if end < 0 else end
            if text.find('"', at, end) >= 0 and not _is_guarded(text[at:end]):
                raise BrokenRecordError("a quote stands inside a value without quotes")
            values.append(text[at:end] or None)
            at = end
        if at >= size:
            return values
        at += 1


def _is_guarded(value: str) -> bool:
    return value.startswith('="') and value.endswith('"') and value.count('"') == 2 and len(value) > 2
