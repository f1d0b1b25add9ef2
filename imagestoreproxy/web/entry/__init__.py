"""Who may come in: signatures, sessions, and what has to be signed by nobody."""
