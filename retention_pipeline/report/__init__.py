"""The report: one HTML file, opened from disk, without server or network, that shows a published generation.

`payload.py` reads the figures, `views.py` says which views there are, `charts.py` how their charts look, `words.py` has
the labels of each language, `page.py` puts the file together, `summary.py` writes five sentences. The page's own script
and style stand in `static/`. Nothing here computes a figure.
"""

from retention_pipeline.report.page import render, write_report

__all__ = ["render", "write_report"]
