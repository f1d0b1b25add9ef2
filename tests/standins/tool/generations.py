"""What the generations of euca2ools differ in, one row each."""

from __future__ import annotations


class Family:
    """How a generation is written, which decides how it reads its arguments and reports."""

    SCRIPTS = "1.x: a script per command, getopt, all on stdout"
    ROBOTO = "2.x: one class per command, getopt"
    REQUESTS = "3.x: requestbuilder, argparse"


class Generation:
    """One row.

    Args:
        errors_on_stderr: of the commands themselves; a crash always goes there.
        reads_home_eucarc: what ``~/.eucarc`` names goes before the environment (1.2 means to look
            for it, and forgets where).
        reads_ec2_keys: ``EC2_ACCESS_KEY`` and ``EC2_SECRET_KEY`` of the environment count.
        part_suffix: format of a part's number.
        signs_always: without a private key or a certificate it says so; later it writes a manifest
            that nobody signed, or the user cannot open, and succeeds.
        query_v4: EC2 requests carry signature version 4, before that version 2.
        usage_status: exit status after arguments that it does not understand.
    """

    def __init__(
        self,
        name: str,
        family: str,
        version: str,
        errors_on_stderr: bool,
        reads_home_eucarc: bool,
        reads_ec2_keys: bool,
        part_suffix: str,
        signs_always: bool,
        query_v4: bool,
        usage_status: int,
    ) -> None:
        self.name = name
        self.family = family
        self.version = version
        self.errors_on_stderr = errors_on_stderr
        self.reads_home_eucarc = reads_home_eucarc
        self.reads_ec2_keys = reads_ec2_keys
        self.part_suffix = part_suffix
        self.signs_always = signs_always
        self.query_v4 = query_v4
        self.usage_status = usage_status


_ROWS = (
    Generation(
        "1.2", Family.SCRIPTS, "1.0-31337 2009-04-04", False, False, True, "{}", True, False, 1
    ),
    Generation(
        "1.3", Family.SCRIPTS, "main-31337 2009-04-04", False, True, True, "{}", True, False, 1
    ),
    Generation("2.0", Family.ROBOTO, "euca2ools 2.0.2", False, True, True, "{:02}", True, False, 1),
    Generation(
        "2.1", Family.ROBOTO, "euca2ools 2.1.4 (Limbo)", True, True, True, "{:02}", True, False, 1
    ),
    Generation(
        "3.0", Family.REQUESTS, "euca2ools 3.0.5 (Sparta)", True, False, True, "{}", True, False, 2
    ),
    Generation(
        "3.1",
        Family.REQUESTS,
        "euca2ools 3.1.3 (Omega)",
        True,
        False,
        False,
        "{:02}",
        True,
        False,
        2,
    ),
    Generation(
        "3.2",
        Family.REQUESTS,
        "euca2ools 3.2.3 (Apollo)",
        True,
        False,
        False,
        "{:02}",
        True,
        False,
        2,
    ),
    Generation(
        "3.3",
        Family.REQUESTS,
        "euca2ools 3.3.3 (Yokohama)",
        True,
        False,
        False,
        "{:02}",
        False,
        True,
        2,
    ),
    Generation(
        "3.4",
        Family.REQUESTS,
        "euca2ools 3.4.1 (Newton)",
        True,
        False,
        False,
        "{:02}",
        False,
        True,
        2,
    ),
)

GENERATIONS = {row.name: row for row in _ROWS}
