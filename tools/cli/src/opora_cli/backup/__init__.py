"""Backup and restore: one instant of the whole platform, its four databases and its log, and the way back."""
