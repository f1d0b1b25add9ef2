"""What each generation of the tools is told on its command line. Never a secret: all can read it.

Keys, certificates' paths, addresses and the account stand in the environment (``home``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.clouds.euca2ools.generations import (
    BUNDLE,
    DELETE,
    DEREGISTER,
    DESCRIBE,
    REGISTER,
    UPLOAD,
    Generation,
)
from imagestoreproxy.model.images import FileKind


@dataclass(frozen=True, slots=True)
class Bundling:
    """What is bundled, and how.

    Args:
        image: the whole file; its name becomes that of the member of the archive.
        destination: a directory, for parts and manifest.
        architecture: in the cloud's words.
        kernel_id, ramdisk_id: of a machine image, or empty.
    """

    image: Path
    destination: Path
    kind: FileKind
    architecture: str
    kernel_id: str = ""
    ramdisk_id: str = ""

    @property
    def manifest(self) -> Path:
        """Where the manifest will be."""
        return self.destination / f"{self.image.name}.manifest.xml"

    @property
    def kernel(self) -> str:
        """What the manifest says of the kernel: ``true`` is the bundle itself."""
        return "true" if self.kind is FileKind.KERNEL else self.kernel_id

    @property
    def ramdisk(self) -> str:
        """What the manifest says of the ramdisk."""
        return "true" if self.kind is FileKind.RAMDISK else self.ramdisk_id


@dataclass(frozen=True, slots=True)
class Registration:
    """What is registered; see ``clouds.images``.

    Args:
        location: ``BUCKET/KEY`` of the manifest.
        virtualization: empty where the default is meant.
    """

    location: str
    name: str
    description: str
    architecture: str
    kernel_id: str = ""
    ramdisk_id: str = ""
    virtualization: str = ""


def bundle_image(bundling: Bundling) -> list[str]:
    """Bundle a file; all generations are told so alike."""
    arguments = [
        *(BUNDLE, "-i", str(bundling.image), "-p", bundling.image.name),
        *("-d", str(bundling.destination), "-r", bundling.architecture),
    ]
    if bundling.kernel:
        arguments += ["--kernel", bundling.kernel]
    if bundling.ramdisk:
        arguments += ["--ramdisk", bundling.ramdisk]
    return arguments


def upload_bundle(bucket: str, manifest: Path, acl: str) -> list[str]:
    """Upload parts and manifest, which lie in the same directory.

    Args:
        acl: who may read them, in S3's words.
    """
    directory = str(manifest.parent)
    return [UPLOAD, "-b", bucket, "-m", str(manifest), "-d", directory, "--acl", acl]


def register(image: Registration, generation: Generation) -> list[str]:
    """Register a bundle, with all that the generation can tell of it.

    Kernel and ramdisk are in the manifest as well, where clouds look that are as old as tools that
    cannot tell them.
    """
    arguments = [REGISTER]
    if generation.describes_images:
        arguments += ["-n", image.name, "-a", image.architecture]
        if image.description:
            # In one piece: what begins with a dash would be taken for an option.
            arguments.append(f"--description={image.description}")
        if image.kernel_id:
            arguments += ["--kernel", image.kernel_id]
        if image.ramdisk_id:
            arguments += ["--ramdisk", image.ramdisk_id]
    if generation.knows_hvm and image.virtualization:
        arguments += ["--virtualization-type", image.virtualization]
    return [*arguments, image.location]


def deregister(image_id: str) -> list[str]:
    """Take a registration back."""
    return [DEREGISTER, image_id]


def delete_bundle(bucket: str, manifest: Path, generation: Generation) -> list[str]:
    """Delete the objects of a bundle, and its bucket.

    Args:
        manifest: a local copy; its name is that in the bucket.
    """
    named = manifest.name if generation.deletes_by_name else str(manifest)
    return [DELETE, "-b", bucket, "-m", named, "--clear"]


def describe_images() -> list[str]:
    """List the account's own images."""
    return [DESCRIBE, "-o", "self"]
