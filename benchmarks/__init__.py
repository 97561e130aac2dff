"""Measuring the pipeline at 1, 10 and 100 million orders against what one would write by hand: make bench SIZE=10m"""
