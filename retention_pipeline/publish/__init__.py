"""Validated KPIs become a generation, files and records of runs. Nothing here computes a figure."""
