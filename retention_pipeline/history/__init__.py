"""What was reported when, and why it is another figure now.

write.py: all that a run writes, in order. publications.py: when which generation was published; reported.py: the table
`retention_kpi_history` (record.py: what a run adds to it, check.py: whether it says what is published); archive.py: the
same in `archive/history/`, one file per publication, from which a lost history is made again; known.py: the figures as
they stood at a moment; definitions.py: former definitions.

causes.py: what may have moved figures, by the rows that raw_rows.py finds; restatements.py: what a publication changed;
figures.py: numbers of what it changed; parts.py and split.py: how much of it each customer and cause did; rows.py: the
rows behind it; sentences.py: the lines about it; since.py: one figure's way; closing.py: closed periods; ahead.py: what
changed settings will restate.

A publication is known from the moment that its run fixed before it published (`known_from`); what it replaced is known
to that moment, exclusive.
"""
