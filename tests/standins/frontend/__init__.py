"""What stands in for a front end's own programs: nothing but the standard library and openssl."""
