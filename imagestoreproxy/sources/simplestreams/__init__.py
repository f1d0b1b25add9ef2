"""A ``simplestreams`` source: what may be believed of its catalogues, and what they offer.

Pure rules: bytes in, answers out. The caller fetches, has signatures verified, and says what time
it is.
"""
