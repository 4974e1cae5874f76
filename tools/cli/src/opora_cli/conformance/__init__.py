"""The conformance kit against a running platform: publish every case, look what became of it, compare."""
