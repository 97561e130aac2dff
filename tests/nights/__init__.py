"""Nights against full refreshes: the compiled models of the product, run in one process over random histories."""
