"""How far the data of each source reach, and which figures that concerns.

deliveries.py reads from raw when sources delivered, and how much; sources.py judges that by the settings; figures.py
says which figures depend on what is late and writes the table `figure_marks`; marks.py reads it for those who print.
"""
