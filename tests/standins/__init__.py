"""Stand-ins for the programs of a cloud's front end, of every generation."""
