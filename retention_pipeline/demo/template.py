"""The commented settings.yaml that `retention init` writes: every setting with its default and its meaning."""

from importlib import resources


def settings_template() -> str:
    """The text of a new home's settings.yaml; it loads as it stands."""
    return resources.files("retention_pipeline.demo").joinpath("template_settings.yaml").read_text(encoding="utf-8")
