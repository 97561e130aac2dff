"""Dagster: the graph of assets, jobs and schedules, and how the command line launches the same job."""
