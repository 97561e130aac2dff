"""The definitions once more, directly: KPIs computed from raw rows by plain Python over lists of days.

Belongs here: an oracle to hold the product against, the comparison, and the made-up companies to compare on.
It shares no code with the product; clarity comes before speed.
"""
