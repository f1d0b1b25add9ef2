"""The Debian package on a Debian of its own; run by ``make deb-test``."""
