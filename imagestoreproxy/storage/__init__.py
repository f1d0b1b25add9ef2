"""What is remembered: sqlite3 behind ``ports.Records``."""
