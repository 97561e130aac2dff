"""One way a run goes: the steps in their order, what they return, the record that each run leaves, the state of a
generation, the mode (night, full refresh, backfill) and the lock. Nothing here knows Dagster.
"""
