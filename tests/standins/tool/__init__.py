"""What stands in for euca2ools: nothing but the standard library and openssl.

Tests run it a thousand times, so it does without what takes Python long to load, or loads it where
that is needed.

A copy of this folder lies beside the executables that ``install`` makes, so that they work with an
empty environment and in another root. How each generation behaves was read from its own source.
"""
