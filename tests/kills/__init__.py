"""Runs that are killed with SIGKILL, at named points and at random moments, under the eyes of a reader.

The kills of test_kills_of_mixed_sources fall into small nights (RETENTION_MIXED_KILLS); of the others the environment
sets: RETENTION_KILLS_ORDERS (how many orders the home has), RETENTION_KILLS_PER_STEP,
RETENTION_RANDOM_KILLS, RETENTION_FIRST_RUN_KILLS, RETENTION_KILLS_SEED, RETENTION_SECONDS_BETWEEN_LOOKS (of the
reader; the shorter, the more of a processor it takes). `make kills` sets a million orders, three kills per step, fifty
at random moments and five in first runs, and four looks a second; without them a small edition runs. Runs are forked
from a process that has imported everything (kills.warm).
"""
