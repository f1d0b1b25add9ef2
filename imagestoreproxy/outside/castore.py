"""Where certificate authorities are: the system's, also when libcurl brings its own OpenSSL."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from imagestoreproxy.model.errors import SettingsError

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSD
)
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")


def ca_store(configured: str = "") -> Path | None:
    """Find the file (or directory) of trusted certificates; None leaves it to libcurl.

    Args:
        configured: what ``--ca-bundle`` says, or empty for the system's.

    Raises:
        SettingsError: the configured one cannot be read.
    """
    if configured:
        path = Path(configured)
        is_some = path.is_dir() or (path.is_file() and path.stat().st_size > 0)
        if not is_some or not os.access(path, os.R_OK):
            raise SettingsError(
                f"The CA bundle {configured} cannot be read or is empty; give --ca-bundle a file "
                "of PEM certificates, or leave it out to use the system's."
            )
        return path
    own = ssl.get_default_verify_paths()
    for name in (own.cafile, *_FILES, own.capath, *_DIRECTORIES):
        if name and os.access(name, os.R_OK):
            return Path(name)
    return None
