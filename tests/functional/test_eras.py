"""An install's way through the cloud, on what Eucalyptus of each age checks and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.model.images import FileKind, Virtualization
from tests.functional import ec2_ground
from tests.functional.ec2_ground import a_cloud, an_upload
from tests.functional.eras import ERAS, Cloud, Era
from tests.functional.inline_background import now
from tests.functional.interceptor import Interceptor
from tests.functional.parcel import Parcel, bring

moto, complete, between = ec2_ground.moto, ec2_ground.complete, ec2_ground.between

Start = Callable[..., tuple[Cloud, Credentials]]


@pytest.fixture
def start(between: Interceptor, complete: Credentials, moto: str) -> Iterator[Start]:
    def begin(era: Era, **options: object) -> tuple[Cloud, Credentials]:
        cloud = Cloud(era, moto, complete.secret_key, **options)  # type: ignore[arg-type]
        between.rule = cloud
        return cloud, complete.with_urls(
            f"{between.url}{era.ec2_path}", f"{between.url}{era.s3_path}"
        )

    yield begin


@pytest.mark.parametrize("era", ERAS, ids=[era.name for era in ERAS])
def test_an_image_goes_in_with_its_kernel_and_out_again(era: Era, start: Start) -> None:
    """The manner of signing is found out by itself, and what an age does not know is left out."""
    there, credentials = start(era)
    cloud = a_cloud(credentials)
    now(cloud.check())
    ids: list[str] = []
    for kind in (FileKind.KERNEL, FileKind.RAMDISK, FileKind.IMAGE):
        parcel = a_parcel(kind, *ids)
        location = bring(cloud, parcel)
        ids.append(now(cloud.register(parcel.upload, location)))
        assert now(cloud.find(parcel.bundle, location)) == ids[-1]
        assert now(cloud.is_stored(location))
        bundles = parcel.bundle
    assert [one[:3] for one in ids] == ["eki", "eri", "emi"]
    image = there.images[ids[-1]]
    assert (image["kernelId"], image["ramdiskId"]) == (ids[0], ids[1])
    assert now(cloud.registered_ids()) == set(ids)
    assert now(cloud.used_ids(["emi-1", "emi-2"])) == {"emi-1": "i-1"}
    now(cloud.deregister(ids[-1]))
    assert not now(cloud.is_registered(ids[-1]))
    now(cloud.remove(bundles))
    assert bundles.bucket not in now(cloud.buckets())
    assert there.manners == {f"ec2 {max(era.ec2)}", f"s3 {max(era.s3)}"}


def a_parcel(kind: FileKind, kernel_id: str = "", ramdisk_id: str = "", **more: object) -> Parcel:
    parcel = an_upload()
    bundle = replace(parcel.bundle, kind=kind)
    upload = replace(
        parcel.upload,
        bundle=bundle,
        title="Böse ~ und + Sterne *",
        virtualization=Virtualization.PARAVIRTUAL,
        kernel_id=kernel_id if kind is FileKind.IMAGE else "",
        ramdisk_id=ramdisk_id if kind is FileKind.IMAGE else "",
        **more,  # type: ignore[arg-type]
    )
    return replace(parcel, upload=upload)
