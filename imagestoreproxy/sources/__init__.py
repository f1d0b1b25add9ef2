"""Where images come from, and what may be believed of what stores say."""
