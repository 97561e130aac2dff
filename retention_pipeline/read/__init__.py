"""What is asked of a published generation: rows, the headline, the hint. Nothing here writes."""
