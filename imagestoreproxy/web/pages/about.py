"""Who has signed what is installed of an image, and how to run it, as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.installs import Installation
from imagestoreproxy.model.running import Place, run_guide
from imagestoreproxy.shop import Shop, Signers
from imagestoreproxy.web.present import Json

NAME_CHARS = 500
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def about_json(shop: Shop, image_uri: str, listed: Sequence[ImageInfo]) -> Json:
    """Give ``signed-by`` and ``run``; empty when nothing of the image is installed.

    Args:
        listed: what is shown of the image now.
    """
    installation = shop.store.installation(image_uri)
    if installation is None:
        return {}
    content: Json = {}
    if installation.fingerprint:
        content["signed-by"] = signed_by_json(installation.fingerprint, shop.signers)
    if shop.place and installation.emi:
        content["run"] = _run_json(installation, shop.place(), listed)
    return content


def signed_by_json(fingerprint: str, signers: Signers | None) -> Json:
    """Give the fingerprint of a key, and its name where it is known."""
    content: Json = {"fingerprint": fingerprint}
    if signers and (name := _CONTROLS.sub(" ", signers.name_of(fingerprint))[:NAME_CHARS].strip()):
        content["name"] = name
    return content


def _run_json(installation: Installation, place: Place, listed: Sequence[ImageInfo]) -> Json:
    info = installation.info
    for now in listed:
        # What was installed by an earlier version of the proxy has no run notes of its own.
        if now.uri == installation.image_uri and not (info.login_user or info.ports):
            info = replace(info, login_user=now.login_user, ports=now.ports)
    guide = run_guide(info, installation.emi, place)
    return {
        "ways": [{"name": way.name, "commands": list(way.commands)} for way in guide.ways],
        "notes": list(guide.notes),
    }
