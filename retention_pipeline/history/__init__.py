"""What was reported when, and why it is another figure now.

publications.py: when which generation was published; reported.py: the table `retention_kpi_history`; archive.py: the
same in `archive/history/`, one file per publication, from which a lost history is made again; known.py: the figures as
they stood at a moment.

A publication is known from the moment that its run fixed before it published (`known_from`); what it replaced is known
to that moment, exclusive.
"""
