"""Alerts: what holds of a publication is found (conditions.py), becomes an incident or stays one (incidents.py), and is
done something about, once (actions.py). night.py puts them together for a run.

Belongs here: rules over published figures and over the run, and whom they reach. What is late is a matter of
freshness/, what is wrong with figures of audit/.
"""

from retention_pipeline.alerts.actions import deliver, test_channel
from retention_pipeline.alerts.incidents import Incident, acknowledge, as_row, load, save
from retention_pipeline.alerts.night import after_publication, before_publication, tell_failure

__all__ = [
    "Incident",
    "acknowledge",
    "after_publication",
    "as_row",
    "before_publication",
    "deliver",
    "load",
    "save",
    "tell_failure",
    "test_channel",
]
