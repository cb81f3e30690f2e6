"""What a run shows of itself: terminal, page, pictures."""
