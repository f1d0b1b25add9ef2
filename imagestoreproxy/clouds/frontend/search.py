"""Where credentials are looked for, in this order: the first place that has some is taken.

1. What options name: ``--credentials-dir``, or ``--profile``. Nothing else is looked at then.
2. The environment.
3. The usual AWS-style profile, where it says which cloud it is for; ``~/.euca/*.ini``.
4. What was fetched before; ``PREFIX/usr/sbin/euca_conf``; ``clcadmin-assume-system-credentials``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from imagestoreproxy.clouds.credentials import (
    ACCESS_KEYS,
    SECRET_KEYS,
    Credentials,
    expanded,
    from_directory,
    from_environment,
    from_profile,
    is_file,
    profile_file,
    profiles,
)
from imagestoreproxy.clouds.frontend.iam import account_number
from imagestoreproxy.clouds.frontend.inifiles import SYSTEM, from_ini_files, ini_files
from imagestoreproxy.clouds.frontend.lending import FrontEnd
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Programs

FILES = 200
Account = Callable[[Credentials, Stop], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the settings and the environment say of it.

    Args:
        directory, profile: that options name; or empty.
        ec2_url, s3_url: that options name, and that count more than what is found; or empty.
        prefix: where Eucalyptus is installed.
        data_dir: where fetched ones are kept.
        region, ca_bundle: with which IAM is asked.
        may_fetch: ``euca_conf`` may be called, and the data directory written.
        system: where euca2ools has its configuration.
    """

    data_dir: Path
    environ: Mapping[str, str]
    directory: str = ""
    profile: str = ""
    ec2_url: str = ""
    s3_url: str = ""
    prefix: Path = Path("/")
    region: str = "us-east-1"
    ca_bundle: str = ""
    may_fetch: bool = True
    system: Path = SYSTEM


@dataclass(frozen=True, slots=True)
class _Files:
    """A place in files, or in the environment."""

    read: Callable[[], Credentials | None]
    watched: Callable[[], Iterable[Path]]
    lacks: str = ""


class Search:
    """Looks for credentials, and tells whether another look can find others.

    Args:
        account: asks IAM for the number of the account that signs.
        now_s: Unix seconds.
    """

    def __init__(
        self,
        places: Places,
        programs: Programs,
        account: Account | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._places = places
        self._account = account or self._asked
        self._accounts: dict[str, str] = {}
        self._files = self._in_files()
        is_named = bool(places.directory or places.profile)
        self.front_end = (
            None
            if is_named
            else FrontEnd(
                places.prefix, places.data_dir, programs, may_fetch=places.may_fetch, now_s=now_s
            )
        )
        # Who gave what was found last; None for files.
        self.lender: FrontEnd | None = None

    def find(self, stop: Stop, *, anew: bool = False) -> Credentials:
        """Give the credentials of the first place that has some.

        Args:
            anew: what programs gave before is refused by the cloud.

        Raises:
            CloudError, SettingsError: there are none, or the first ones found cannot be used.
        """
        self.lender = None
        for place in self._files:
            if found := place.read():
                return self._completed(found, stop)
        if self.front_end and (found := self.front_end.find(stop, anew=anew)):
            self.lender = self.front_end
            return self._completed(found, stop)
        lacks = [place.lacks for place in self._files if place.lacks]
        lacks += [self.front_end.lacks()] if self.front_end else []
        raise CloudError(
            f"No credentials for the cloud were found: {', '.join(lacks)}. Run the proxy on the "
            "cloud controller (--eucalyptus tells where Eucalyptus is installed), or unpack the "
            "administrator's credentials archive there and give --credentials-dir.",
            retry_helps=False,
        )

    def state(self) -> tuple[object, ...]:
        """Give something that changes when what can be found may have changed; cheap."""
        paths = [path for place in self._files for path in place.watched()]
        if self.front_end:
            paths += self.front_end.watched()
        return tuple(_state_of(path) for path in islice(paths, FILES))

    def _in_files(self) -> list[_Files]:
        places, environ = self._places, self._places.environ
        if places.directory:
            named = expanded(places.directory, "--credentials-dir")
            return [_Files(lambda: from_directory(named), lambda: _within(named))]
        of_environment = [Path(environ.get(name) or "/") for name in _CERTIFICATES]
        if places.profile:
            watched = [profile_file(environ), *of_environment]
            return [_Files(lambda: from_profile(places.profile, environ), lambda: watched)]
        return [
            _Files(
                lambda: from_environment(environ) if _has_keys(environ) else None,
                lambda: of_environment if _has_keys(environ) else (),
                "none in the environment",
            ),
            _Files(
                self._usual_profile,
                lambda: [profile_file(environ)],
                f"no profile in {profile_file(environ)} that names its ec2_url",
            ),
            _Files(
                lambda: from_ini_files(ini_files(environ, places.system), environ),
                lambda: ini_files(environ, places.system),
                "no user's keys in ~/.euca/*.ini",
            ),
        ]

    def _usual_profile(self) -> Credentials | None:
        """Take the usual profile only where it is said which cloud its keys are for."""
        environ = self._places.environ
        path, name = profile_file(environ), environ.get("AWS_PROFILE") or "default"
        if not is_file(path):
            return None
        options = profiles(path, str(path)).get(name, {})
        says_where = options.get("ec2_url") or environ.get("EC2_URL") or self._places.ec2_url
        return from_profile(name, environ) if options and says_where else None

    def _completed(self, found: Credentials, stop: Stop) -> Credentials:
        found = found.with_urls(self._places.ec2_url, self._places.s3_url)
        if found.account or not found.iam_url:
            return found
        if not (account := self._accounts.get(found.access_key)):
            try:
                account = self._account(found, stop)
            except CloudError as error:
                return replace(found, account_problem=error.message.rstrip("."))
            self._accounts = {found.access_key: account}
        return replace(found, account=account)

    def _asked(self, found: Credentials, stop: Stop) -> str:
        return account_number(found, self._places.region, self._places.ca_bundle, stop)


_CERTIFICATES = ("EC2_CERT", "EC2_PRIVATE_KEY", "EUCALYPTUS_CERT")


def _has_keys(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in (*ACCESS_KEYS, *SECRET_KEYS))


def _within(directory: Path) -> list[Path]:
    try:
        return [directory, *sorted(islice(directory.iterdir(), FILES))]
    except OSError:
        return [directory]


def _state_of(path: Path) -> tuple[object, ...]:
    try:
        found = path.stat()
    except OSError:
        return (str(path),)
    if not path.is_file():
        return (str(path), found.st_ino)
    return (str(path), found.st_ino, found.st_mtime_ns, found.st_size)
