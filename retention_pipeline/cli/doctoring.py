"""The verb doctor: what is fine with a home, what is not, and what to run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.run.doctor import SHOWN_AT_MOST, examine
from retention_pipeline.run.mending import mend
from retention_pipeline.settings import resolve_home

STYLES = {"fine": "green", "note": "yellow", "broken": "bold red"}


def doctor(home: Path | None, *, with_mending: bool, without_missing: bool, as_json: bool) -> None:
    """Look at every part; exits 1 where something is broken."""
    place = resolve_home(home)
    done = mend(place, without_missing=without_missing) if with_mending else []
    found = examine(place)
    broken = [one for one in found if one.state == "broken"]
    if as_json:
        print_json({"home": str(place.root), "mended": done, "findings": [asdict(one) for one in found]})
    else:
        console = terminal(highlight=False)
        for line in done:
            console.print(Text(f"mended  {formatting.visible(line)}"), soft_wrap=True)
        shown: dict[tuple[str, str], int] = {}
        for one in found:
            number = shown[one.part, one.state] = shown.get((one.part, one.state), 0) + 1
            if number > SHOWN_AT_MOST:
                continue
            text = Text.assemble((f"{one.state:<8}", STYLES[one.state]), f"{one.part}: {formatting.visible(one.text)}")
            console.print(text, soft_wrap=True)
            if one.cure:
                console.print(Text(f"        {one.cure}"), soft_wrap=True)
        for (part, _), number in shown.items():
            if number > SHOWN_AT_MOST:
                console.print(f"        {part}: {number - SHOWN_AT_MOST:,} more (all with --json)")
    if broken:
        raise SystemExit(1)
