"""Dagster's assets, in the order in which data pass: raw.py, models.py, figures.py.

An asset calls one step of run/steps.py or run/after.py and says what came of it; nothing is computed here. What the
steps of one run share stands in orchestration/run_context.py.
"""
