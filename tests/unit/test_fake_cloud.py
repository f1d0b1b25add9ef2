"""What the fake cloud does beyond the contract of all clouds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestoreproxy.clouds.fake import FakeCloud
from imagestoreproxy.model.bundles import Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Architecture, FileKind, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.ports import Stop
from tests.functional.inline_background import InlineBackground, now
from tests.functional.parcel import Parcel, bring


def an_upload(kind: FileKind) -> Parcel:
    def chunks(stop: Stop) -> Iterator[bytes]:
        yield b"content"

    bundle = Bundle("uri", kind, f"isp-{kind}", f"{kind}-1")
    upload = Upload(bundle, Architecture.X86_64, Virtualization.PARAVIRTUAL)
    return Parcel(upload, 7, chunks)


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [(FileKind.KERNEL, "eki"), (FileKind.RAMDISK, "eri"), (FileKind.IMAGE, "emi")],
)
def test_h12_ids_look_like_the_clouds_and_survive_a_restart(
    kind: FileKind, prefix: str, tmp_path: Path
) -> None:
    state_file = tmp_path / "fake-cloud.json"
    upload = an_upload(kind)
    before = FakeCloud(InlineBackground(), state_file)
    image_id = now(before.register(upload.upload, bring(before, upload)))
    assert re.fullmatch(prefix + "-[0-9a-f]{8}", image_id)
    after = FakeCloud(InlineBackground(), state_file)
    assert now(after.is_registered(image_id))
    assert now(after.find(upload.bundle, "")) == image_id


def test_its_file_is_for_its_owner_only_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    state_file = tmp_path / "fake-cloud.json"
    bring(FakeCloud(InlineBackground(), state_file), an_upload(FileKind.IMAGE))
    assert state_file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [state_file]


def test_what_was_never_uploaded_is_not_registered(tmp_path: Path) -> None:
    cloud = FakeCloud(InlineBackground(), tmp_path / "fake-cloud.json")
    with pytest.raises(CloudError, match="no bundle at bucket/key"):
        now(cloud.register(an_upload(FileKind.IMAGE).upload, "bucket/key"))


@pytest.mark.parametrize("content", ["{", "[]", '{"stored": 1}'])
def test_a_file_of_another_kind_is_named(content: str, tmp_path: Path) -> None:
    state_file = tmp_path / "fake-cloud.json"
    state_file.write_text(content)
    with pytest.raises(CloudError, match=r"fake-cloud\.json is not what"):
        now(FakeCloud(InlineBackground(), state_file).check())
