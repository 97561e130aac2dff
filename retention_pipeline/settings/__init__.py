"""Every path, date, business setting and environment variable of one environment: typed, and read once.

`Home` names the files of an environment (home.py), `Settings` is its `settings.yaml` (file.py), made of what moves
figures (business.py) and of where data come from (sources.py, columns.py). Other packages import from here.
"""

from retention_pipeline.settings.business import Business, ClvGates, CohortMaxAge
from retention_pipeline.settings.columns import Constant, Made, RowHash, has_time, tokens_of
from retention_pipeline.settings.engine import Spark
from retention_pipeline.settings.file import (
    BUILT_IN_DIMENSIONS,
    DEFAULT_ACTIONS,
    DEFAULT_DIMENSIONS,
    PostgresTarget,
    Publish,
    Schedule,
    Settings,
    figure_settings,
    load_settings,
    parse_settings,
)
from retention_pipeline.settings.home import (
    LARGEST_MEMORY_LIMIT_GB,
    MEMORY_VARIABLE,
    Home,
    keep_private,
    memory_limit,
    resolve_home,
    without_others,
)
from retention_pipeline.settings.kinds import SettingsError
from retention_pipeline.settings.sources import (
    CLOUDS,
    DatabaseFileSource,
    DatabaseSource,
    DeleteColumn,
    FileSource,
    FromEnvironment,
    Ids,
    LakeSource,
    MysqlSource,
    PostgresSource,
    ServerSource,
    Source,
)

__all__ = [
    "BUILT_IN_DIMENSIONS",
    "CLOUDS",
    "DEFAULT_ACTIONS",
    "DEFAULT_DIMENSIONS",
    "LARGEST_MEMORY_LIMIT_GB",
    "MEMORY_VARIABLE",
    "Business",
    "ClvGates",
    "CohortMaxAge",
    "Constant",
    "DatabaseFileSource",
    "DatabaseSource",
    "DeleteColumn",
    "FileSource",
    "FromEnvironment",
    "Home",
    "Ids",
    "LakeSource",
    "Made",
    "MysqlSource",
    "PostgresSource",
    "PostgresTarget",
    "Publish",
    "RowHash",
    "Schedule",
    "ServerSource",
    "Settings",
    "SettingsError",
    "Source",
    "Spark",
    "figure_settings",
    "has_time",
    "keep_private",
    "load_settings",
    "memory_limit",
    "parse_settings",
    "resolve_home",
    "tokens_of",
    "without_others",
]
