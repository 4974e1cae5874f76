"""HTTP routes: parse, call a handler, answer."""
