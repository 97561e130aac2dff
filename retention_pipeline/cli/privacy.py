"""The verb forget. What it prints names nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.run import forgetting
from retention_pipeline.settings import load_settings, resolve_home


def forget(home: Path | None, customers: list[str], file: Path | None, *, as_json: bool) -> None:
    """Forget customers by their ids, of the command line and of a file, one a line."""
    place = resolve_home(home)
    named = list(customers)
    if file is not None:
        named += [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not named:
        raise forgetting.NotForgotten("no customer is named; nothing was changed")
    console = terminal(stderr=True, highlight=False)
    done = forgetting.forget(
        place,
        load_settings(place),
        named,
        now=datetime.now(UTC).replace(tzinfo=None),
        say=lambda text: console.print(Text(text), style="dim", soft_wrap=True),
    )
    if as_json:
        print_json(vars(done))
    else:
        out = terminal(highlight=False)
        out.print(
            f"Forgotten: {formatting.counted(done.people, 'identifier')};"
            f" {formatting.counted(done.files, 'file')} rewritten"
            + (
                f"; generation {done.generation} is published, the earlier ones are deleted."
                if done.generation
                else "."
            )
        )
    if done.left:
        listed = "\n".join(f"  {path}" for path in done.left)
        raise forgetting.NotForgotten(
            f"these files of the home still hold an id or an address, in places that are not the pipeline's:\n{listed}"
        )
