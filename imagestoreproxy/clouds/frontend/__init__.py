"""What a Eucalyptus front end gives who runs on it: its administrator's credentials."""
