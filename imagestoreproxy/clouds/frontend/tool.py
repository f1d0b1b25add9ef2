"""Runs a program of Eucalyptus on the front end, bounded in silence and in time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imagestoreproxy.model.errors import Cancelled, CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import (
    Finished,
    ProgramMissingError,
    Programs,
    ProgramStuckError,
)
from imagestoreproxy.stops import Until

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_tool(
    arguments: Sequence[str],
    programs: Programs,
    stop: Stop,
    *,
    prefix: Path,
    home: Path,
    silence_s: float,
    limit_s: float,
) -> Finished:
    """Run it with nothing of this process's environment.

    Args:
        prefix: where Eucalyptus is installed.
        home: what it takes for its home directory.
        silence_s, limit_s: how long it may say nothing, and run.

    Raises:
        CloudError: it is not there, may not be run, or did not end.
    """
    name = arguments[0]
    if not os.access(name, os.X_OK):
        raise CloudError(
            f"{name} may not be run by user {os.geteuid()}: the proxy must run as the user of "
            "Eucalyptus (EUCA_USER in /etc/default/image-store-proxy), or as root."
        )
    environment = {
        "EUCALYPTUS": str(prefix),
        "HOME": str(home),
        # The system's own may be read-only for the service.
        "TMPDIR": str(home),
        "PATH": f"{prefix / 'usr/sbin'}:{prefix / 'usr/bin'}:{SYSTEM_PATH}",
    }
    until = Until(stop, limit_s)
    late = f"{name} was ended: it did not come to an end. Is the cloud controller running?"
    try:
        return programs.run(
            arguments, until, silence_s=silence_s, environment=environment, directory=home
        )
    except ProgramMissingError:
        raise CloudError(f"{name} is not there, or what it is run by is not installed.") from None
    except ProgramStuckError:
        raise CloudError(late) from None
    except OSError as error:
        raise CloudError(f"{name} could not be run: {error.strerror}.") from None
    except Cancelled:
        if until.is_over:
            raise CloudError(late) from None
        raise
