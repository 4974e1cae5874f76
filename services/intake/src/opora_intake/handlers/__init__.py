"""What intake does when asked: load for update, decide (pure), emit, save."""
