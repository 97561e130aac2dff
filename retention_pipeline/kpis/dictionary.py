"""Writes docs/kpis.md from the registry: `python -m retention_pipeline.kpis.dictionary [PATH]` (default docs/kpis.md).

The file is never edited by hand; a test compares it with what this module makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.kpis.declaration import Family, Kpi
from retention_pipeline.kpis.definitions import factor, immature_when, in_words
from retention_pipeline.kpis.examples import EXAMPLES
from retention_pipeline.kpis.registry import FAMILIES, KPIS, family_kpis
from retention_pipeline.kpis.vocabulary import NULL_REASONS, SETTINGS, TABLES, VOCABULARY
from retention_pipeline.settings import Business

INTERVALS = {"wilson": ", with interval", "nps": ", with the interval of a score", "none": ""}
HEAD = """# KPIs

<!-- Made by `python -m retention_pipeline.kpis.dictionary`.
     Edit the declarations in retention_pipeline/kpis/, not this file. -->

Every figure of `retention_kpis`, each with a sentence from which another person gets the same number. The same
definitions are published with the figures as the table `kpi_definitions`. Ratios are stored as fractions (0.05 is 5 %)
with `numerator`, `denominator` and `n`; a value that cannot be given is NULL with a `null_reason`, never 0. Every KPI
is given at every grain, for the whole (`segment_dimension` and `segment_value` are `all`) and for every value of each
segment dimension.
"""


def dictionary() -> str:
    """The text of docs/kpis.md."""
    parts = [HEAD, "## Words\n", "\n".join(f"- **{word}**: {meaning}" for word, meaning in VOCABULARY.items())]
    parts += ["\n## Why a value is NULL\n", "The first that applies, in this order:\n"]
    parts.append("\n".join(f"- `{reason}`: {meaning}" for reason, meaning in NULL_REASONS.items()))
    parts.append("\n## All KPIs\n")
    parts.append("| KPI | label | family | unit |\n|---|---|---|---|")
    parts.append(
        "\n".join(f"| [`{kpi.id}`](#{kpi.id}) | {kpi.label} | {kpi.family.name} | {kpi.unit} |" for kpi in KPIS)
    )
    parts += [family_section(family) for family in FAMILIES]
    parts += [
        "\n## Tables beside the KPIs\n",
        "\n".join(f"- `{table}`: {meaning}" for table, meaning in TABLES.items()),
    ]
    parts += ["\n## Settings that move figures\n", "All under `business:` in settings.yaml.\n"]
    parts += ["| setting | meaning | default |\n|---|---|---|"]
    parts.append("\n".join(f"| `{name}` | {meaning} | {default(name)} |" for name, meaning in SETTINGS.items()))
    return "\n".join(parts) + "\n"


def family_section(family: Family) -> str:
    """A heading, what the rows are, and the family's KPIs."""
    basis = " or ".join(f"`{basis}`" for basis in family.bases)
    rows = (
        f"Rows: one per cell of `{family.period_table}`{f' with {family.rows}' if family.rows else ''}, basis "
        f"{basis}; for the "
        f"whole, every period from the one with {family.first_row} on."
    )
    return "\n".join([f"\n## {family.label}\n", rows, *(kpi_section(kpi) for kpi in family_kpis(family))])


def kpi_section(kpi: Kpi) -> str:
    """One KPI: its sentence, then a list of what else its declaration says."""
    lines = [f"\n### {kpi.id}\n", f"**{kpi.label}.** {kpi.definition}\n"]
    parts = {"value": kpi.value, "numerator": kpi.numerator, "denominator": kpi.denominator, "n": kpi.n}
    facts = [(name, in_words(expression)) for name, expression in parts.items()]
    facts += [("times", factor(kpi)), ("not given yet (`immature`) when", immature_when(kpi))]
    facts += [("too small (`small_n`) when", f"{kpi.sample} < min_n" if kpi.sample else None)]
    listed = [f"- for example: {EXAMPLES[kpi.id]}"] if kpi.id in EXAMPLES else []
    listed += [f"- {name}: `{expression}`" for name, expression in facts if expression]
    listed.append(f"- unit {kpi.unit}, {valid_range(kpi)}{INTERVALS[kpi.interval]}; version {kpi.version}")
    if kpi.look_back:
        cut = ", ".join(look_back.words for look_back in kpi.look_back)
        listed.append(f"- `left_truncated` where `data_start` cuts: {cut}")
    listed.append(f"- better: {kpi.better}; shown as {kpi.shown_as}")
    if kpi.grains != GRAINS:
        listed.append(f"- grains: {', '.join(kpi.grains)}")
    if kpi.bases:
        listed.append(f"- basis: {', '.join(kpi.bases)}")
    if kpi.dimensions:
        listed.append(f"- segment dimensions: {', '.join(kpi.dimensions)}")
    if kpi.segments_only:
        listed.append("- rows for segment values only")
    if kpi.settings:
        listed.append(f"- settings: {', '.join(f'`{setting}`' for setting in kpi.settings)}")
    return "\n".join([*lines, *listed])


def default(setting: str) -> str:
    """The default of a business setting as settings.yaml would write it; empty where it is required."""
    field = Business.model_fields[setting]
    if field.is_required():
        return ""
    value = field.default
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    return f"`{json.dumps(value)}`"


def valid_range(kpi: Kpi) -> str:
    """The valid range in words."""
    low, high = kpi.valid_range
    if low is None and high is None:
        return "any number"
    if high is None:
        return f"at least {low:g}"
    return f"from {low:g} to {high:g}"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "kpis.md"
    target.write_text(dictionary(), encoding="utf-8")
    print(f"wrote {target}")
