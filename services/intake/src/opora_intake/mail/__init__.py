"""Letters: from the bytes that came to what they say. See docs/mail.md."""
