"""The JavaScript that draws charts: Vega, Vega-Lite and vega-embed, from the vl-convert wheel.

Putting it together takes seconds and gives the same text each time, so it is kept in the cache of the user. A file
there that belongs to somebody else is not read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

SNIPPET = "window.vegaEmbed = vegaEmbed;"
SMALLEST = 100_000  # characters; less is a file that was cut off


def chart_library() -> str:
    """The library as the text of a script element; `window.vegaEmbed` draws a chart."""
    cached = _cache_file()
    with suppress(OSError, UnicodeDecodeError):
        if cached.stat().st_uid == os.getuid():
            text = cached.read_text(encoding="utf-8")
            if len(text) > SMALLEST:
                return text
    import vl_convert

    text = vl_convert.javascript_bundle(SNIPPET).replace("</script", "<\\/script")
    with suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_name(f".{cached.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, cached)
    return text


def _cache_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "retention-pipeline" / f"charts-{version('vl-convert-python')}.js"
