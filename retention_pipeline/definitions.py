"""What `workspace.yaml` names: Dagster's definitions of the home that RETENTION_HOME says. They are put together in
`orchestration/definitions.py`.
"""

from retention_pipeline.orchestration.definitions import build_definitions, defs

__all__ = ["build_definitions", "defs"]
