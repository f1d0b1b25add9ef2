"""What a cloud can run."""

from __future__ import annotations

from dataclasses import dataclass

from imagestoreproxy.model.images import Architecture, Virtualization
from imagestoreproxy.model.words import size

GIB = 2**30
# Eucalyptus' own default of ``cloud.images.max_image_size_gb``.
MAX_IMAGE_BYTES = 30 * GIB


@dataclass(frozen=True, slots=True)
class Taking:
    """What the cloud takes; what it does not take is shown with the reason, and not offered.

    Args:
        virtualizations: Eucalyptus takes ``hvm`` from 3.4 on.
        architectures: of its nodes.
        needs_ramdisk: whether a paravirtual image without a ramdisk is refused, as by Eucalyptus
            from 4.0 on.
        max_image_bytes: how large an unpacked image may be; 0: any size.
    """

    virtualizations: frozenset[Virtualization] = frozenset(Virtualization)
    architectures: frozenset[Architecture] = frozenset({Architecture.I386, Architecture.X86_64})
    needs_ramdisk: bool = False
    max_image_bytes: int = MAX_IMAGE_BYTES

    def too_large(self, size_bytes: int) -> str:
        """Say of an image that the cloud does not take it for its size; empty when it does."""
        if not self.max_image_bytes or size_bytes <= self.max_image_bytes:
            return ""
        return (
            f"it unpacks to {size(size_bytes)}, but the cloud takes images of at most "
            f"{size(self.max_image_bytes)}; where it takes larger ones, say so with "
            "--cloud-max-image-size"
        )
