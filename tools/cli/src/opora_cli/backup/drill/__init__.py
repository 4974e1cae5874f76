"""The drill: a loaded platform is backed up at work, destroyed, restored, and looked at from outside."""
