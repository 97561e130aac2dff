"""The hand-over to dbt: raw tables become facts and period tables. No SQL of models and no publishing belongs here."""

from retention_pipeline.transform.arguments import (
    dbt_arguments,
    dbt_environment,
    dbt_vars,
    resolved_segments,
)
from retention_pipeline.transform.build import BuildError, BuildResult, NodeResult, build
from retention_pipeline.transform.fingerprints import code_fingerprint, settings_fingerprint
from retention_pipeline.transform.input_checks import InputError

__all__ = [
    "BuildError",
    "BuildResult",
    "InputError",
    "NodeResult",
    "build",
    "code_fingerprint",
    "dbt_arguments",
    "dbt_environment",
    "dbt_vars",
    "resolved_segments",
    "settings_fingerprint",
]
