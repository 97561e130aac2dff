"""Dagster's assets, in the order in which data pass: raw.py, models.py, figures.py, snapshot.py.

An asset calls one step of run/steps.py and says what came of it; nothing is computed here. night.py holds what the
steps of one run share.
"""
