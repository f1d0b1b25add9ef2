"""``euca_conf --get-credentials`` and ``clcadmin-assume-system-credentials`` of each version.

Their state (what was issued, to whom) lies in ``PREFIX/var/lib/eucalyptus/standin.json``.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FOR_EVER_S = 3600
USER_KEYS = 3  # that lie in the prefix; the administrator is given them in turn


class Version:
    """What one version's ``euca_conf`` does.

    Args:
        python: written in Python from 4.0 on; before that it is a shell script.
        new_key: each call adds an access key.
        revokes: each call revokes the user's earlier certificates.
        certificate_once: only the first archive has one.
        accounts: it knows ``--cred-account`` and ``--cred-user``.
    """

    def __init__(
        self,
        python: bool,
        new_key: bool,
        revokes: bool,
        certificate_once: bool,
        accounts: bool,
    ) -> None:
        self.python, self.new_key, self.revokes = python, new_key, revokes
        self.certificate_once, self.accounts = certificate_once, accounts


VERSIONS = {
    "1.5": Version(False, True, False, False, False),
    "1.6": Version(False, True, False, False, False),
    "2.0": Version(False, False, True, False, False),
    "3.0": Version(False, False, False, False, True),
    "3.4": Version(False, False, False, False, True),
    "4.0": Version(True, False, False, False, True),
    "4.1": Version(True, False, False, True, True),
    "4.2": Version(True, False, False, True, True),
}


def euca_conf(prefix: str, version: str) -> None:
    """Run ``euca_conf`` with the arguments of this process."""
    settings = _settings(prefix, "euca_conf")
    row = VERSIONS[version]
    archive = _archive_asked_for(row, version, sys.argv[1:])
    if version == "4.2":
        print(
            "warning: euca_conf is deprecated; use ``eval `clcadmin-assume-system-credentials`'' "
            "or ``euare-useraddkey'' instead",
            file=sys.stderr,
        )
    if settings.get("hang"):
        time.sleep(FOR_EVER_S)
    if os.path.exists(archive):
        if row.python:
            print(f"file {archive} already exists, please remove and try again", file=sys.stderr)
        else:
            print(f"file '{archive}' already exists, please remove and try again")
        sys.exit(1)
    if settings.get("not_started"):
        if row.python:
            print("error: no such account or user", file=sys.stderr)
        else:
            print("ERROR: you need to be on the CLC host and the CLC needs to be running.")
        sys.exit(1)
    broken = None
    if not row.python and " " in archive:
        # The shell takes the second word for another address to fetch.
        broken = archive = archive.partition(" ")[0]
    if settings.get("empty"):
        with open(archive, "wb"):
            pass
        sys.exit(_not_obtained(row))
    with _State(prefix) as state:
        _write_archive(prefix, version, archive, state, settings)
    if broken or settings.get("fails_after"):
        sys.exit(_not_obtained(row))
    sys.exit(0)


def _not_obtained(row: Version) -> int:
    """What follows a download that failed: its file is there all the same."""
    if row.python:
        print(
            "Failed to get credentials. Received empty credential data",
            file=sys.stderr,
        )
    else:
        print("failed to obtain credentials, please try again or go to the Eucalyptus web UI.")
    return 1


def _archive_asked_for(row: Version, version: str, arguments: Sequence[str]) -> str:
    found = ""
    rest = list(arguments)
    taken = ["--get-credentials"] + ["--cred-account", "--cred-user"] * row.accounts
    while rest:
        name = rest.pop(0)
        if name not in taken or not rest:
            if row.python:
                print(
                    f"Usage: euca_conf [options]\n\neuca_conf: error: no such option: {name}",
                    file=sys.stderr,
                )
                sys.exit(2)
            print("euca_conf [options] [<file>]")
            sys.exit(1)
        value = rest.pop(0)
        if name == "--get-credentials":
            found = value
    if not found:
        sys.exit(0)
    return found


def _write_archive(
    prefix: str, version: str, archive: str, state: dict[str, Any], settings: dict[str, Any]
) -> None:
    row = VERSIONS[version]
    if row.new_key or not state["keys"]:
        made = [settings.get("access_key"), settings.get("secret_key")]
        if state["keys"] or not all(made):
            made = [os.urandom(10).hex().upper(), os.urandom(20).hex()]
        state["keys"].append(made)
    access, secret = state["keys"][-1]
    wanted = not (row.certificate_once and state["certificates"])
    number = f"{len(state['certificates']):08x}"
    stem = f"euca2-admin-{number}"
    with open(f"{prefix}/var/lib/eucalyptus/keys/cloud-cert.pem") as file:
        cloud = file.read()
    files = {"eucarc": _eucarc(version, settings, access, secret, stem if wanted else "")}
    if row.accounts:
        files["iamrc"] = f"AWSAccessKeyId={access}\nAWSSecretKey={secret}"
    files["cloud-cert.pem"] = cloud
    if version not in ("1.5", "1.6"):
        files["jssecacerts"] = "not a keystore"
    if wanted:
        key, certificate = _new_certificate(prefix, len(state["certificates"]))
        files |= {f"{stem}-pk.pem": key, f"{stem}-cert.pem": certificate}
        if row.revokes:
            state["valid"] = []
        state["certificates"].append(certificate)
        state["valid"].append(certificate)
    state["archives"] += 1
    import zipfile

    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.comment = b"To setup the environment run: source /path/to/eucarc"
        for name, text in files.items():
            packed.writestr(name, text)


def _eucarc(version: str, settings: dict[str, Any], access: str, secret: str, stem: str) -> str:
    old = version in ("1.5", "1.6", "2.0", "3.0")
    here = "$(readlink -f ${BASH_SOURCE})" if old else "${BASH_SOURCE:-$0}"
    lines = [
        f"EUCA_KEY_DIR=$(dirname {here})"
        if old
        else f"EUCA_KEY_DIR=$(cd $(dirname {here}); pwd -P)"
    ]
    urls = [f"export EC2_URL={settings['ec2_url']}"]
    if not settings.get("no_object_store"):
        urls.append(f"export S3_URL={settings['s3_url']}")
    elif version == "2.0":
        urls.append("echo WARN:  Walrus URL is not configured.")
    elif not old:
        urls.append("echo WARN:  An OSG is either not registered or not configured. >&2")
    lines += urls
    if stem:
        lines.append(f"export EC2_PRIVATE_KEY=${{EUCA_KEY_DIR}}/{stem}-pk.pem")
        lines.append(f"export EC2_CERT=${{EUCA_KEY_DIR}}/{stem}-cert.pem")
    elif version == "4.2":
        lines.append("echo WARN: Certificate credentials not present. >&2")
    lines.append("export EUCALYPTUS_CERT=${EUCA_KEY_DIR}/cloud-cert.pem")
    account = settings["account"]
    accounts = VERSIONS[version].accounts
    if accounts:
        lines.append(f"export EC2_ACCOUNT_NUMBER='{account}'")
    names = ["EC2"] if old else ["EC2", "AWS"]
    for name in names:
        lines.append(f"export {name}_ACCESS_KEY='{access}'")
        lines.append(f"export {name}_SECRET_KEY='{secret}'")
    if accounts:
        lines.append("export AWS_CREDENTIAL_FILE=${EUCA_KEY_DIR}/iamrc")
    if version != "1.5":
        lines.append(f"export EC2_USER_ID='{account}'")
    # The only place where 1.5 tells the account.
    lines.append(f'alias ec2-bundle-image="ec2-bundle-image --cert ${{EC2_CERT}} --user {account}"')
    return "\n".join(lines) + "\n"


def assume_system_credentials(prefix: str, version: str) -> None:
    """Run ``clcadmin-assume-system-credentials``; the same keys each time."""
    settings = _settings(prefix, "clcadmin-assume-system-credentials")
    name = os.path.basename(sys.argv[0])
    if len(sys.argv) > 1:
        print(f"usage: eval `{sys.argv[0]}`", file=sys.stderr)
        sys.exit(1)
    if settings.get("hang"):
        time.sleep(FOR_EVER_S)
    if settings.get("not_root"):
        print(f"{name}: Permission denied", file=sys.stderr)
        sys.exit(1)
    if settings.get("not_started"):
        print(
            f"{sys.argv[0]}: failed to obtain access keys; ensure eucalyptus-cloud has finished "
            "starting",
            file=sys.stderr,
        )
        sys.exit(1)
    with _State(prefix) as state:
        if not state["keys"]:
            state["keys"].append(
                [settings.get("access_key") or "SYSTEM", settings.get("secret_key") or "secret"]
            )
        access, secret = state["keys"][-1]
    base = settings.get("clcadmin_base", "http://127.0.0.1:8773/services")
    for variable, service in (
        ("AWS_IAM_URL", "Euare"),
        ("EUCA_BOOTSTRAP_URL", "Empyrean"),
        ("EUCA_PROPERTIES_URL", "Properties"),
    ):
        print(f"export {variable}={base}/{service};")
    for value, ending in ((access, "ACCESS_KEY"), (secret, "SECRET_KEY")):
        modern = "AWS_ACCESS_KEY_ID" if value is access else "AWS_SECRET_ACCESS_KEY"
        for variable in (modern, f"AWS_{ending}", f"EC2_{ending}"):
            print(f'export {variable}="{value}";')
    for variable in (
        "AWS_CREDENTIAL_FILE",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "EC2_USER_ID",
    ):
        print(f"unset {variable};")
    print(f"\n# If you can read this, rerun this program with eval:\n#     eval `{sys.argv[0]}`")
    sys.exit(0)


def _settings(prefix: str, tool: str) -> dict[str, Any]:
    place = f"{prefix}/var/lib/eucalyptus"
    with open(f"{place}/calls.jsonl", "a") as file:
        entry = {
            "tool": tool,
            "arguments": sys.argv[1:],
            "environment": sorted(os.environ),
            "process": os.getpid(),
        }
        file.write(json.dumps(entry) + "\n")
    with open(f"{place}/settings.json") as file:
        found: dict[str, Any] = json.load(file)
    return found


class _State:
    """What is remembered, locked; written when the context is left."""

    def __init__(self, prefix: str) -> None:
        path = f"{prefix}/var/lib/eucalyptus/standin.json"
        self._file = open(path, "a+")  # noqa: SIM115 - closed when the context is left
        self._state: dict[str, Any] = {}

    def __enter__(self) -> dict[str, Any]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.seek(0)
        text = self._file.read()
        self._state = json.loads(text) if text else fresh_state()
        return self._state

    def __exit__(self, *_: object) -> None:
        self._file.truncate(0)
        self._file.write(json.dumps(self._state))
        self._file.close()


def fresh_state() -> dict[str, Any]:
    """What a cloud that has issued nothing remembers."""
    return {"keys": [], "certificates": [], "valid": [], "archives": 0}


def _new_certificate(prefix: str, number: int) -> tuple[str, str]:
    """A key that is not that of the one before, and a certificate of it that is new."""
    key = f"{prefix}/var/lib/eucalyptus/keys/user-{number % USER_KEYS}-pk.pem"
    output, filled = os.pipe()
    pid = os.posix_spawnp(
        "openssl",
        ["openssl", "req", "-x509", "-key", key, "-days", "30", "-subj", "/CN=admin"],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, filled, 1)],
    )
    os.close(filled)
    with open(output) as told, open(key) as file:
        pair = file.read(), told.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"openssl ended with status {os.waitstatus_to_exitcode(status)}")
    return pair
