"""An install's way through the cloud, on what Eucalyptus of each age checks and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.model.errors import CloudError
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


ERA = {era.name: era for era in ERAS}


def told_by(work: Callable[[], object]) -> str:
    with pytest.raises(CloudError) as caught:
        work()
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("name", ERA)
def test_wrong_keys_are_told_in_words_that_help(name: str, start: Start) -> None:
    _, credentials = start(ERA[name])
    wrong = replace(credentials, secret_key="another-secret")
    message = told_by(lambda: now(a_cloud(wrong).check()))
    assert message.startswith("EC2 at http://127.0.0.1:")
    if name == "1.6":  # which gives no reason
        assert "access denied without a reason; check the keys, EC2_URL" in message
    else:
        assert "it does not take the signature; check the keys, the clock" in message
    assert "another-secret" not in message


@pytest.mark.parametrize("name", ["1.6", "5.1"])
def test_the_path_may_be_left_out_of_what_is_signed(name: str, start: Start) -> None:
    """Something before the cloud takes it away, and the cloud checks what it sees then."""
    there, credentials = start(ERA[name], strips=True)
    cloud = a_cloud(credentials)
    now(cloud.check())
    assert "without the path of the address" in cloud.signed
    assert there.manners >= {f"ec2 {max(ERA[name].ec2)}", f"s3 {max(ERA[name].s3)}"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "1.6",
            "EC2 wants signatures of version 2 and S3 wants signatures of version 2",
        ),
        ("4.0", "S3 wants signatures of version 2"),
        ("5.1", ""),
    ],
)
def test_a_check_tells_which_service_wants_other_signatures(
    name: str, told: str, start: Start
) -> None:
    _, credentials = start(ERA[name])
    cloud = a_cloud(credentials)
    now(cloud.check())
    assert cloud.signed == told


@pytest.mark.parametrize("signatures", ["2", "4"])
def test_a_version_that_is_set_is_the_only_one(signatures: str, start: Start) -> None:
    there, credentials = start(ERA["5.1"])
    now(a_cloud(credentials, signatures=signatures).check())
    assert there.manners == {f"ec2 {signatures}", f"s3 {signatures}"}


def test_a_version_that_the_cloud_does_not_take_is_not_left_by_itself(start: Start) -> None:
    there, credentials = start(ERA["3.4"])
    assert told_by(lambda: now(a_cloud(credentials, signatures="4").check()))
    assert not there.manners


@pytest.mark.parametrize(("name", "may"), [("1.6", False), ("3.1", False), ("3.4", True)])
def test_an_old_cloud_is_not_offered_hvm_once_it_is_known_to_be_old(
    name: str, may: bool, start: Start
) -> None:
    _, credentials = start(ERA[name])
    cloud = a_cloud(credentials)
    now(cloud.check())
    assert (Virtualization.HVM in cloud.taking.virtualizations) is may
    parcel = an_upload()
    location = bring(cloud, parcel)
    if may:
        assert now(cloud.register(parcel.upload, location)).startswith("emi-")
    else:
        message = told_by(lambda: now(cloud.register(parcel.upload, location)))
        assert "does not take hvm images, which need Eucalyptus 3.4 or later" in message


@pytest.mark.parametrize("name", ["2.0", "3.4", "5.1"])
@pytest.mark.parametrize("kind", [FileKind.KERNEL, FileKind.RAMDISK])
def test_only_administrators_bring_kernels_and_ramdisks_and_are_told_so(
    name: str, kind: FileKind, start: Start
) -> None:
    _, credentials = start(ERA[name], is_administrator=False)
    cloud, parcel = a_cloud(credentials), a_parcel(kind)
    location = bring(cloud, parcel)
    message = told_by(lambda: now(cloud.register(parcel.upload, location)))
    assert "only a cloud administrator may register kernels and ramdisks" in message
    assert "use the credentials of one" in message


def test_an_image_that_only_the_cloud_knows_to_be_too_large_is_told_with_both_settings(
    start: Start,
) -> None:
    _, credentials = start(ERA["3.4"], max_image_bytes=1)
    cloud, parcel = a_cloud(credentials), a_parcel(FileKind.IMAGE)
    location = bring(cloud, parcel)
    message = told_by(lambda: now(cloud.register(parcel.upload, location)))
    assert "cloud.images.max_image_size_gb" in message
    assert "--cloud-max-image-size" in message


def test_a_paravirtual_image_without_ramdisk_is_told_with_the_setting(start: Start) -> None:
    _, credentials = start(ERA["4.0"])
    cloud, parcel = a_cloud(credentials), a_parcel(FileKind.IMAGE)
    location = bring(cloud, parcel)
    message = told_by(lambda: now(cloud.register(parcel.upload, location)))
    assert "--cloud-needs-ramdisk" in message


def test_equal_questions_of_one_second_are_no_replay(start: Start) -> None:
    _, credentials = start(ERA["2.0"])
    cloud = a_cloud(credentials)
    for _ in range(8):
        now(cloud.registered_ids())
