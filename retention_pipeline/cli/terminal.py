"""The terminal that answers go to. Whatever text from data comes along, its control characters are written out, so that
no verb has to think of it.
"""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from retention_pipeline import formatting


class _WrittenOut:
    """What something is rendered to, without characters that act; those of the layout itself stay."""

    def __init__(self, shown: ConsoleRenderable) -> None:
        self.shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.shown, options):
            if segment.control:
                yield segment
            else:
                yield Segment(formatting.visible(segment.text, keep="\n"), segment.style)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_WrittenOut(one) for one in renderables]


def terminal(*, stderr: bool = False, highlight: bool = True) -> Console:
    """A console on standard output or standard error."""
    console = Console(stderr=stderr, highlight=highlight)
    console.push_render_hook(_Hook())
    return console
