"""How to run an image that is installed: complete shell commands, with no secret in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from imagestoreproxy.model.images import Architecture, ImageInfo
from imagestoreproxy.model.masking import masked

LOGIN_USER = re.compile("[a-z_][a-z0-9_-]{0,31}")
PORTS = 20
HIGHEST_PORT = 65535

EUCA2OOLS, AWS = "euca2ools", "AWS command line"
EUCARC = "~/.euca/eucarc"
REGION = "us-east-1"
SSH_PORT = 22
_KEY, _KEY_FILE = "image-store", "~/image-store.pem"
_GROUP, _ANYWHERE = "default", "0.0.0.0/0"
# What images were logged in to as when stores said nothing about it.
_USUAL_LOGIN = "root"
_TYPES = {Architecture.AARCH64.value: "t4g.small"}
_USUAL_TYPE = "m1.small"


def login_user_of(value: object) -> str:
    """Give the name of a user if it can be one, as somebody else wrote it; else empty."""
    return value if isinstance(value, str) and LOGIN_USER.fullmatch(value) else ""


def ports_of(value: object) -> tuple[int, ...]:
    """Give TCP ports as somebody else listed them, each once; empty if one of them is none."""
    if not isinstance(value, list) or len(value) > PORTS:
        return ()
    if not all(type(one) is int and 0 < one <= HIGHEST_PORT for one in value):
        return ()
    return tuple(dict.fromkeys(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The cloud that images are run in, and where whoever runs them has the credentials.

    Args:
        ec2_url: of its EC2; empty: what the credentials say.
        region: empty: ``us-east-1``.
        eucarc: path of the file that is loaded; empty: ``~/.euca/eucarc``.
        profile: of an AWS-style file that has the keys instead; may be empty.
        profile_file: path of that file; empty: where the AWS tools look.
        loading: the line that loads them, in place of all these; or empty.
        is_loaded: the keys are variables of the shell already.
        is_here: the credentials lie where the commands are run; else with the proxy.
        is_fake: there is no cloud at all.
    """

    ec2_url: str = ""
    region: str = ""
    eucarc: str = ""
    profile: str = ""
    profile_file: str = ""
    loading: str = ""
    is_loaded: bool = False
    is_here: bool = False
    is_fake: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run an image: the tools, and the lines for a shell."""

    name: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """All ways, the likeliest first, and what else is to be known: plain sentences."""

    ways: tuple[Way, ...]
    notes: tuple[str, ...]


def run_guide(info: ImageInfo, emi: str, place: Place) -> Guide:
    """Tell how an instance of an image is started and logged in to.

    The commands are those of euca2ools 1.3 to 3.4, and of the AWS command line 1 and 2.

    Args:
        info: tells login user, ports and architecture; what it does not say is taken as usual.
        emi: the id in the cloud.
    """
    ports = sorted({SSH_PORT, *info.ports})
    kind = _TYPES.get(info.architecture, _USUAL_TYPE)
    user = info.login_user or _USUAL_LOGIN
    log_in = f'ssh -i {_KEY_FILE} {shlex.quote(user)}@"$ADDRESS"'
    euca2ools = Way(EUCA2OOLS, (*_euca2ools(emi, place, kind, ports), log_in))
    aws = Way(AWS, (*_aws(emi, place, kind, ports), log_in))
    is_aws_likelier = bool(place.profile or place.is_loaded)
    ways = (aws, euca2ools) if is_aws_likelier else (euca2ools, aws)
    return Guide(ways, tuple(filter(None, _notes(info, place))))


def _euca2ools(emi: str, place: Place, kind: str, ports: Sequence[int]) -> tuple[str, ...]:
    url = (f"export EC2_URL={shlex.quote(masked(place.ec2_url))}",) if place.ec2_url else ()
    describe = 'euca-describe-instances "$INSTANCE"'
    return (
        *(() if place.is_loaded else (_load(place),)),
        *url,
        _new_key(f"euca-add-keypair {_KEY}"),
        *(f"euca-authorize -P tcp -p {port} -s {_ANYWHERE} {_GROUP}" for port in ports),
        f"INSTANCE=$(euca-run-instances -t {kind} -k {_KEY} {shlex.quote(emi)}"
        " | awk '$1 == \"INSTANCE\" {print $2}')",
        f"while {describe} | grep -w pending; do sleep 5; done",
        f"ADDRESS=$({describe} | awk '$1 == \"INSTANCE\" {{print $4}}')",
    )


def _aws(emi: str, place: Place, kind: str, ports: Sequence[int]) -> tuple[str, ...]:
    where = f"{_endpoint(place)}--region {shlex.quote(place.region or REGION)}"
    instance = '--instance-ids "$INSTANCE"'
    return (
        *_keys(place),
        _new_key(
            f"aws ec2 create-key-pair {where} --key-name {_KEY} --query KeyMaterial --output text"
        ),
        *(
            f"aws ec2 authorize-security-group-ingress {where} --group-name {_GROUP}"
            f" --protocol tcp --port {port} --cidr {_ANYWHERE}"
            for port in ports
        ),
        f"INSTANCE=$(aws ec2 run-instances {where} --instance-type {kind} --key-name {_KEY}"
        f" --image-id {shlex.quote(emi)} --query 'Instances[0].InstanceId' --output text)",
        f"aws ec2 wait instance-running {where} {instance}",
        f"ADDRESS=$(aws ec2 describe-instances {where} {instance}"
        " --query 'Reservations[0].Instances[0].PublicIpAddress' --output text)",
    )


def _endpoint(place: Place) -> str:
    """Give the option that names the cloud; keys without any are those of Amazon's own."""
    if place.ec2_url:
        return f"--endpoint-url {shlex.quote(masked(place.ec2_url))} "
    return "" if place.profile or place.is_loaded else '--endpoint-url "$EC2_URL" '


def _load(place: Place) -> str:
    if place.loading:
        return place.loading
    # A tilde within quotes would be none.
    return f". {shlex.quote(place.eucarc) if place.eucarc else EUCARC}"


def _keys(place: Place) -> tuple[str, ...]:
    """Give what loads the keys for the AWS command line."""
    if place.profile:
        file = f"AWS_SHARED_CREDENTIALS_FILE={shlex.quote(place.profile_file)} "
        return (
            f"export {file if place.profile_file else ''}AWS_PROFILE={shlex.quote(place.profile)}",
        )
    names = (("AWS_ACCESS_KEY_ID", "EC2_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "EC2_SECRET_KEY"))
    if place.is_loaded:
        return ("export " + " ".join(f'{name}="${{{name}:-${euca}}}"' for name, euca in names),)
    said = " ".join(f'{name}="${{{euca}:-${name}}}"' for name, euca in names)
    return _load(place), f"export {said}"


def _new_key(command: str) -> str:
    # Only where there is none yet: the cloud hands a private key out once, and never again.
    return f"test -s {_KEY_FILE} || (umask 077; {command} > {_KEY_FILE})"


def _notes(info: ImageInfo, place: Place) -> tuple[str, ...]:
    ports = ", ".join(map(str, info.ports))
    return (
        "This proxy plays a cloud that does not exist: there is nothing to run the image in, and "
        "the commands show how it would be."
        if place.is_fake
        else "",
        f"Log in as {info.login_user}, with the private key in {_KEY_FILE}."
        if info.login_user
        else f"The source does not say as whom to log in: {_USUAL_LOGIN} is only the usual name.",
        f"It needs these ports open: {ports}." if ports else "",
        _loading(place),
        f"The ports are opened to everybody: put your own network in place of {_ANYWHERE} if only "
        "that is to reach it.",
        "A port or a key pair that is said to exist already does no harm; go on with the next "
        f"line. Without {_KEY_FILE}, take another name than {_KEY} for a new key pair.",
    )


def _loading(place: Place) -> str:
    if not place.is_here:
        return (
            "The first line loads credentials that lie on the machine of the proxy; load your own "
            "elsewhere."
        )
    if place.is_loaded or place.eucarc or place.profile or place.loading:
        return ""
    return "The first line loads the credentials of a cloud account: name your own eucarc there."
