"""Options of the daemon that tell of the cloud."""

from __future__ import annotations

import argparse

from imagestoreproxy.config.options import WholeFrom
from imagestoreproxy.model.errors import SettingsError
from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.taking import GIB, MAX_IMAGE_BYTES, Taking

CLOUDS = ("auto", "ec2", "euca2ools", "fake")
_ALIASES = {"amd64": "x86_64", "i686": "i386", "arm64": "aarch64"}
# What speaks of a cloud that is really there.
_REAL = (
    "ec2_url",
    "s3_url",
    "credentials_dir",
    "profile",
    "eucalyptus",
    "administrators",
    "euca2ools",
    "public_read_fallback",
)


def add_cloud(parser: argparse.ArgumentParser) -> None:
    """Add the options of the cloud."""
    cloud = parser.add_argument_group("the cloud")
    cloud.add_argument(
        "--cloud", choices=CLOUDS, default="auto",
        help="what to install with: ec2 speaks EC2 and S3 itself, euca2ools has the tools do it;"
        " auto takes the tools where they are installed and work",
    )  # fmt: skip
    cloud.add_argument(
        "--fake-eucalyptus", metavar="SECRET",
        help="no cloud: take any ClientId with this secret key, and register nothing for real",
    )  # fmt: skip
    cloud.add_argument("--ec2-url", default="", metavar="URL", help="the EC2 endpoint")
    cloud.add_argument("--s3-url", default="", metavar="URL", help="the S3 endpoint")
    cloud.add_argument("--region", default="us-east-1", help="what signatures name as region")
    cloud.add_argument(
        "--credentials-dir", default="", metavar="DIR",
        help="an unpacked credentials archive with its eucarc (without it: the environment,"
        " ~/.aws/credentials, ~/.euca/*.ini, and what the programs of Eucalyptus give)",
    )  # fmt: skip
    cloud.add_argument(
        "--profile", default="", metavar="NAME", help="a profile of the AWS credentials file"
    )
    cloud.add_argument(
        "--eucalyptus", default="", metavar="DIR",
        help="below which a Eucalyptus of this machine is installed (without it: $EUCALYPTUS,"
        " else /)",
    )  # fmt: skip
    cloud.add_argument(
        "--administrators", default="", metavar="FILE",
        help="keys of others who may ask: an AWS-style credentials file with a profile for each,"
        " read again when it changes",
    )  # fmt: skip
    cloud.add_argument(
        "--euca2ools", default="", metavar="DIR",
        help="where the tools are (without it: on the system's path)",
    )  # fmt: skip
    cloud.add_argument(
        "--signatures", choices=("auto", "2", "4"), default="auto",
        help="version of the signatures that the cloud takes; auto finds it out",
    )  # fmt: skip
    cloud.add_argument(
        "--public-read-fallback", action="store_true",
        help="make bundles readable by everybody where the cloud does not know aws-exec-read",
    )  # fmt: skip
    cloud.add_argument(
        "--cloud-takes", choices=("hvm", "paravirtual", "both"), default="both",
        help="what its instances can boot; other images are shown, and not offered",
    )  # fmt: skip
    cloud.add_argument(
        "--cloud-architectures", default="i386,x86_64", metavar="LIST", help="of its nodes"
    )
    cloud.add_argument(
        "--cloud-needs-ramdisk", action="store_true",
        help="paravirtual images without a ramdisk do not boot there",
    )  # fmt: skip
    cloud.add_argument(
        "--cloud-max-image-size", type=WholeFrom(0, 2**20), default=MAX_IMAGE_BYTES // GIB,
        metavar="GIB",
        help="how large an unpacked image may be, in GiB; Eucalyptus' own setting is"
        " cloud.images.max_image_size_gb; 0: any size",
    )  # fmt: skip


def cloud_of(options: argparse.Namespace) -> str:
    """Give one of ``CLOUDS``: what to install with.

    Raises:
        SettingsError: options contradict each other.
    """
    fake = options.fake_eucalyptus is not None
    if options.cloud in ("ec2", "euca2ools") and fake:
        raise SettingsError(
            f"--cloud={options.cloud} and --fake-eucalyptus exclude each other: give one."
        )
    if fake and not options.fake_eucalyptus:
        raise SettingsError("--fake-eucalyptus needs a secret key that is not empty.")
    if options.cloud == "fake" and not fake:
        raise SettingsError("--cloud=fake needs --fake-eucalyptus=SECRET, the key of its clients.")
    given = [f"--{name.replace('_', '-')}" for name in _REAL if getattr(options, name)]
    if fake and given:
        raise SettingsError(f"{given[0]} is for a real cloud, not for --fake-eucalyptus.")
    if options.credentials_dir and options.profile:
        raise SettingsError("--credentials-dir and --profile exclude each other: give one.")
    return "fake" if fake else str(options.cloud)


def taking_of(options: argparse.Namespace) -> Taking:
    """Give what the cloud can run.

    Raises:
        SettingsError: an architecture is none.
    """
    takes = options.cloud_takes
    names = [name.strip() for name in options.cloud_architectures.split(",")]
    try:
        architectures = frozenset(Architecture(_ALIASES.get(name, name)) for name in names)
    except ValueError:
        raise SettingsError(
            f"--cloud-architectures must name some of {', '.join(Architecture)}, with commas "
            f"between them, not '{options.cloud_architectures[:100]}'."
        ) from None
    return Taking(
        virtualizations=frozenset(one for one in Virtualization if takes in ("both", one.value)),
        architectures=architectures,
        needs_ramdisk=options.cloud_needs_ramdisk,
        max_image_bytes=options.cloud_max_image_size * GIB,
    )
