"""What the daemon is told: options, the file, and what both come to."""
