"""What a run reports: terminal, page, pictures."""
