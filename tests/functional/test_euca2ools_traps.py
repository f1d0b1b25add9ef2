"""What tools of some generation do wrong, and what must come of it all the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imagestoreproxy.clouds.bucket import EC2_MAY_READ
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.euca2ools.tools import Patience
from imagestoreproxy.model.errors import Cancelled, CloudError, DiskError, InstallError
from imagestoreproxy.model.images import Architecture, FileKind
from tests.contracts.test_clouds import an_upload, noise, whole_client
from tests.functional import ec2_ground
from tests.functional.ec2_ground import ec2_error, is_s3, s3_error
from tests.functional.euca2ools_ground import QUICK, Euca2ools, Places, euca2ools
from tests.functional.inline_background import Flag, now
from tests.functional.interceptor import Answer, Interceptor, Lost, Request
from tests.functional.moto_server import empty
from tests.functional.parcel import Parcel, bring
from tests.functional.ports import free_port
from tests.functional.rig import wait_for
from tests.standins.install import EUCA2OOLS, calls, children, set_traps

moto, complete, between = ec2_ground.moto, ec2_ground.complete, ec2_ground.between
credentials = ec2_ground.credentials

OLD = [one for one in EUCA2OOLS if one[0] in "12"]
SOME = ["1.2", "2.1", "3.4"]
OLDEST_AND_NEWEST = ["1.2", "3.4"]
# Longer than a busy machine takes to start a program.
IMPATIENT = replace(QUICK, stall_s=8.0, silence_s=8.0)
MIB = 2**20

Made = Callable[..., Euca2ools]


@pytest.fixture
def made(
    tmp_path: Path, credentials: Credentials, between: Interceptor, moto: str
) -> Iterator[Made]:
    """Give a way to clouds with tools that do something wrong; nothing of theirs stays behind."""
    between.rewrite = Places()
    many: list[Euca2ools] = []

    def make(generation: str, *, patience: Patience = QUICK, **traps: Any) -> Euca2ools:
        path = tmp_path / str(len(many))
        path.mkdir()
        many.append(euca2ools(path, generation, credentials, patience=patience, traps=traps))
        return many[-1]

    yield make
    empty(moto)
    for one in many:
        assert one.left() == [], "it cleans up, whatever happens"
        # It ends whatever it has started; the last of it may still be dying.
        started = processes(one)
        wait_for("the end of all", partial(all_ended, started))


def processes(tools: Euca2ools) -> list[int]:
    """Give the processes of all that has been run, with what these left behind."""
    return [*(one["process"] for one in calls(tools.directory)), *children(tools.directory)]


def is_alive(*pids: int) -> list[int]:
    """Give those of these processes that run; one that only has not been waited for does not."""
    alive = []
    for pid in pids:
        with suppress(FileNotFoundError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                alive.append(pid)
    return alive


def all_ended(pids: Sequence[int]) -> bool:
    return not is_alive(*pids)


def failure(tools: Euca2ools, parcel: Parcel | None = None) -> InstallError:
    """Give the error that an upload ends with."""
    with pytest.raises(InstallError) as caught:
        bring(tools.cloud, parcel or an_upload(noise(2000)))
    assert "\n" not in caught.value.message
    assert "testing" not in caught.value.message
    return caught.value


def registrations(between: Interceptor) -> int:
    """Count the requests for a registration."""
    actions = [one.path.encode() + one.body() for one in between.seen if not is_s3(one)]
    return sum(b"Action=RegisterImage" in one for one in actions)


@pytest.mark.parametrize("generation", ["1.2", "2.1", "3.0", "3.4"])
def test_tools_see_an_empty_home_and_an_environment_with_this_cloud_and_nothing_else(
    generation: str, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".eucarc").write_text("export EC2_ACCESS_KEY='other'\n")
    for name in ("EC2_ACCESS_KEY", "AWS_PROFILE", "EUCA_REGION", "http_proxy", "BOTO_CONFIG"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    tools = made(generation)
    upload = an_upload(b"an image")
    image_id = now(tools.cloud.register(upload.upload, bring(tools.cloud, upload)))
    assert now(tools.cloud.registered_ids()) >= {image_id}
    now(tools.cloud.deregister(image_id))
    now(tools.cloud.remove(upload.bundle))
    run = [one for one in calls(tools.directory) if "--help" not in one["arguments"]]
    used = [one for one in run if one["tool"] != "euca-version"]
    assert [one["tool"] for one in used] == [
        *("euca-bundle-image", "euca-upload-bundle", "euca-register"),
        *("euca-describe-images", "euca-deregister", "euca-delete-bundle"),
    ]
    for one in used:
        assert set(one["environment"]) == {
            *("HOME", "TMPDIR", "PATH", "LC_ALL", "PYTHONUNBUFFERED", "EUCA_CONFIG_PATH"),
            *("EC2_URL", "S3_URL", "EC2_USER_ID", "EC2_CERT", "EC2_PRIVATE_KEY", "EUCALYPTUS_CERT"),
            *("EC2_ACCESS_KEY", "EC2_SECRET_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        }
        assert not [name for name in one["home"] if name.startswith(".")]
        assert one["group"] == one["process"], "each in a group of its own"
        assert "testing" not in " ".join(one["arguments"]), "no key on a command line"
        assert str(tools.ground) in one["directory"]


@pytest.mark.parametrize("generation", OLD)
def test_a_system_wide_eucarc_of_another_cloud_is_not_used(
    generation: str, made: Made, between: Interceptor
) -> None:
    """Tools before 3.0 prefer it to the environment."""
    tools = made(generation)
    eucarc = tools.directory / ".standin" / "system-eucarc"
    eucarc.write_text(f"export S3_URL='http://127.0.0.1:{free_port()}/'\n")
    upload = an_upload(b"an image")
    set_traps(tools.directory, patience_s=0)
    # So it would be: what the test is worth.
    assert "connection refused" in failure(tools, upload).message
    tools.cloud._use(replace(tools.cloud._tools, system_eucarc=eucarc))
    assert bring(tools.cloud, upload)


@pytest.mark.parametrize("generation", EUCA2OOLS)
def test_h10_a_refused_upload_is_a_failure_also_when_it_ends_with_0(
    generation: str, made: Made
) -> None:
    tools = made(generation, refused_upload=True)
    message = failure(tools).message
    assert message.startswith("S3 at http://127.0.0.1:")
    assert "access denied; the user of these credentials needs the right" in message


@pytest.mark.parametrize("trap", ["sent_nothing", "lost_part"])
@pytest.mark.parametrize("generation", SOME)
def test_p5_uploaded_is_not_believed_when_the_bytes_are_not_there(
    generation: str, trap: str, made: Made
) -> None:
    tools = made(generation, **{trap: True})
    message = failure(tools).message
    assert "does not hold what was stored in it" in message
    sent = [one for one in calls(tools.directory) if one["tool"] == "euca-upload-bundle"]
    assert len([one for one in sent if "--help" not in one["arguments"]]) == 2, "tried once more"


def test_p5_a_part_that_arrives_otherwise_than_it_was_sent_is_seen(
    made: Made, between: Interceptor
) -> None:
    from tests.functional.interceptor import Altered

    def altered(request: Request) -> Answer | None:
        if request.method == "PUT" and ".part." in request.path:
            content = request.body()
            raise Altered(content[:-1] + bytes([content[-1] ^ 1]))
        return None

    between.rule = altered
    assert ".part." in failure(made("3.4")).message


@pytest.mark.parametrize("trap", ["silent", "crash"])
@pytest.mark.parametrize("generation", OLDEST_AND_NEWEST)
def test_p5_a_tool_without_its_last_line_has_failed_whatever_it_has_done(
    generation: str, trap: str, made: Made
) -> None:
    tools = made(generation)
    for tool in ("euca-bundle-image", "euca-upload-bundle"):
        set_traps(tools.directory, **{trap: [tool]})
        message = failure(tools).message
        assert tool in message
        assert "status 0" in message if trap == "silent" else "told to crash" in message


@pytest.mark.parametrize("generation", SOME)
def test_an_image_without_an_id_is_found_by_asking(
    generation: str, made: Made, between: Interceptor
) -> None:
    tools = made(generation, no_id=True)
    upload = an_upload(b"an image")
    location = bring(tools.cloud, upload)
    image_id = now(tools.cloud.register(upload.upload, location))
    assert image_id
    assert now(tools.cloud.register(upload.upload, location)) == image_id
    assert registrations(between) == 1


@pytest.mark.parametrize("generation", SOME)
def test_p4_a_registration_whose_answer_was_lost_is_found_and_not_repeated(
    generation: str, made: Made, between: Interceptor
) -> None:
    def lost(request: Request) -> Answer | None:
        if not is_s3(request) and b"RegisterImage" in request.path.encode() + request.body():
            raise Lost
        return None

    tools = made(generation, patience_s=0)
    upload = an_upload(b"an image")
    location = bring(tools.cloud, upload)
    between.rule = lost
    image_id = now(tools.cloud.register(upload.upload, location))
    assert now(tools.cloud.is_registered(image_id))
    assert registrations(between) == 1


@pytest.mark.parametrize("generation", SOME)
def test_h8_what_the_cloud_says_to_a_registration_is_told_plainly(
    generation: str, made: Made, between: Interceptor
) -> None:
    tools = made(generation)
    upload = an_upload(b"kernel", FileKind.KERNEL)
    location = bring(tools.cloud, upload)

    def refused(request: Request) -> Answer | None:
        is_it = not is_s3(request) and b"RegisterImage" in request.path.encode() + request.body()
        return ec2_error(403, "UnauthorizedOperation") if is_it else None

    between.rule = refused
    with pytest.raises(CloudError, match="that of a cloud administrator") as caught:
        now(tools.cloud.register(upload.upload, location))
    assert caught.value.message.startswith("EC2 at http://127.0.0.1:")
    assert "euca-register" in caught.value.message


@pytest.mark.parametrize("generation", SOME)
def test_h10_a_cloud_that_is_away_is_named(
    generation: str, made: Made, tmp_path: Path, credentials: Credentials
) -> None:
    away = credentials.with_urls(s3_url=f"http://127.0.0.1:{free_port()}/services/Walrus")
    tools = euca2ools(tmp_path / "away", generation, away, traps={"patience_s": 0})
    message = failure(tools).message
    assert message.startswith(f"Cannot reach S3 at {away.s3_url} (S3_URL or --s3-url): ")
    assert "connection refused" in message


def test_invalid_user_and_exit_0_is_a_failure(made: Made) -> None:
    message = failure(made("1.3", invalid_user=True)).message
    assert "EC2_USER_ID) must be digits" in message


def test_a_tool_that_is_gone_is_said_before_anything_is_fetched(made: Made) -> None:
    tools = made("3.4")
    gone = tools.directory / "euca-delete-bundle"
    gone.rename(tools.directory / "away")
    with pytest.raises(CloudError, match="euca-delete-bundle is no longer installed in"):
        now(tools.cloud.check())
    (tools.directory / "away").rename(gone)
    now(tools.cloud.check())


def test_h10_an_upload_that_fails_once_is_tried_again(made: Made, between: Interceptor) -> None:
    failed: list[str] = []

    def once(request: Request) -> Answer | None:
        if request.method == "PUT" and ".part." in request.path and not failed:
            failed.append(request.path)
            return s3_error(503, "ServiceUnavailable")
        return None

    between.rule = once
    tools = made("3.4")
    assert bring(tools.cloud, an_upload(noise(2000)))
    assert failed


@pytest.mark.parametrize(
    ("generation", "tool"),
    [
        ("1.2", "euca-bundle-image"),
        ("3.4", "euca-bundle-image"),
        ("3.4", "euca-upload-bundle"),
    ],
)
def test_p3_a_tool_that_gets_nowhere_is_ended_with_its_children(
    generation: str, tool: str, made: Made
) -> None:
    # Tools of 3.x bundle in one go: they can only hang before their first word.
    mute = [tool] if tool == "euca-bundle-image" and generation.startswith("3") else []
    traps = {"hang": [tool], "leave_child": [tool], "mute_hang": mute}
    tools = made(generation, patience=IMPATIENT, **traps)
    error = failure(tools)
    assert f"{tool} got nowhere for 8 s and was ended" in error.message
    assert error.retry_helps
    assert children(tools.directory)
    wait_for("all to end", lambda: not is_alive(*processes(tools)))


@pytest.mark.parametrize(
    ("generation", "tool"),
    [
        ("1.2", "euca-bundle-image"),
        ("3.4", "euca-upload-bundle"),
        ("1.2", "euca-delete-bundle"),
        ("3.4", "euca-deregister"),
    ],
)
def test_p8_a_cancel_ends_a_tool_that_hangs_and_its_children(
    generation: str, tool: str, made: Made
) -> None:
    tools = made(generation)
    upload = an_upload(b"an image")
    image_id = now(tools.cloud.register(upload.upload, bring(tools.cloud, upload)))
    traps = {"mute_hang": [tool], "hang": [tool], "leave_child": [tool]}
    # By its group it cannot be ended then.
    set_traps(tools.directory, leave_group=generation == "3.4", **traps)
    work: dict[str, Callable[[], Any]] = {
        "euca-delete-bundle": lambda: tools.cloud.remove(upload.bundle),
        "euca-deregister": lambda: tools.cloud.deregister(image_id),
    }

    def cancel() -> None:
        wait_for("its child", lambda: children(tools.directory))
        tools.background.stop.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        now(work[tool]()) if tool in work else bring(tools.cloud, an_upload(b"another"))
    thread.join()
    wait_for("the end of all", lambda: not is_alive(*processes(tools)))
    tools.background.stop = Flag()


def test_p8_a_registration_under_way_is_waited_for_when_it_is_cancelled(
    made: Made, between: Interceptor
) -> None:
    """Ended, nobody would know whether the cloud has heard it."""
    tools = made("3.4", slow=["euca-register"], slow_s=0.5)
    upload = an_upload(b"an image")
    location = bring(tools.cloud, upload)

    def cancelled(request: Request, body: bytes) -> bytes:
        if b"RegisterImage" in request.body():
            tools.background.stop.set()
        return body

    between.rewrite = cancelled
    with pytest.raises(Cancelled):
        now(tools.cloud.register(upload.upload, location))
    tools.background.stop = Flag()
    assert now(tools.cloud.find(upload.bundle, location)), "so it can be taken back"
    assert registrations(between) == 1


def test_p3_a_registration_without_an_answer_is_ended_and_looked_for(
    made: Made, between: Interceptor
) -> None:
    tools = made("2.1", patience=IMPATIENT, hang=["euca-register"], leave_child=["euca-register"])
    upload = an_upload(b"an image")
    location = bring(tools.cloud, upload)
    image_id = now(tools.cloud.register(upload.upload, location))
    assert now(tools.cloud.is_registered(image_id)), "it was heard before the tool hung"
    assert registrations(between) == 1


@pytest.mark.parametrize("generation", OLDEST_AND_NEWEST)
def test_what_a_tool_does_not_remove_is_removed_all_the_same(
    generation: str, made: Made, moto: str
) -> None:
    tools = made(generation)
    uploads = [an_upload(noise(2000 + extra)) for extra in range(2)]
    ids = [now(tools.cloud.register(one.upload, bring(tools.cloud, one))) for one in uploads]
    for upload, image_id, trap in zip(uploads, ids, ("silent", "crash"), strict=True):
        set_traps(tools.directory, **{trap: True})
        now(tools.cloud.deregister(image_id))
        assert not now(tools.cloud.is_registered(image_id))
        now(tools.cloud.remove(upload.bundle))
        assert upload.bundle.bucket not in now(tools.cloud.buckets())


@pytest.mark.parametrize("generation", OLDEST_AND_NEWEST)
def test_an_upload_without_its_manifest_is_removed_without_the_tools(
    generation: str, made: Made, moto: str
) -> None:
    tools = made(generation)
    upload = an_upload(b"an image")
    bring(tools.cloud, upload)
    s3 = whole_client("s3", moto)
    s3.delete_object(Bucket=upload.bundle.bucket, Key=f"{upload.bundle.name}.manifest.xml")
    now(tools.cloud.remove(upload.bundle))
    assert upload.bundle.bucket not in now(tools.cloud.buckets())


def test_a_list_that_cannot_be_had_is_an_error_and_not_an_empty_list(made: Made) -> None:
    tools = made("2.1", error={"euca-describe-images": ["AuthFailure", "no"]})
    with pytest.raises(CloudError, match="does not take the access key"):
        now(tools.cloud.registered_ids())


@pytest.mark.parametrize("generation", ["1.3", "2.0", "3.4"])
def test_an_architecture_that_the_tools_do_not_know_is_refused_before_they_run(
    generation: str, made: Made
) -> None:
    tools = made(generation)
    assert Architecture.AARCH64 not in tools.cloud.taking.architectures
    upload = an_upload(b"an image")
    other = replace(upload, upload=replace(upload.upload, architecture=Architecture.AARCH64))
    assert "bundle no image for arm64" in failure(tools, other).message


def test_p6_a_disk_without_room_is_told_as_such(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    tools = made("3.4")
    monkeypatch.setattr(os, "pwrite", full)
    error = failure(tools)
    assert isinstance(error, DiskError)
    assert "make room" in error.message


def test_an_acl_that_only_others_know_is_chosen_as_without_the_tools(
    tmp_path: Path, between: Interceptor, credentials: Credentials
) -> None:
    def refused(request: Request) -> Answer | None:
        refuses = request.headers.get("x-amz-acl") == EC2_MAY_READ
        return s3_error(400, "InvalidArgument") if refuses else None

    between.rule = refused
    tools = euca2ools(tmp_path, "3.4", credentials, public_read_fallback=True)
    now(tools.cloud.check())
    assert bring(tools.cloud, an_upload(b"an image"))
    (upload,) = (
        one
        for one in calls(tools.directory)
        if one["tool"] == "euca-upload-bundle" and "-b" in one["arguments"]
    )
    assert "public-read" in upload["arguments"]


def test_progress_is_told_from_0_to_1_and_never_goes_back(made: Made) -> None:
    for generation in ("2.1", "3.4"):
        tools = made(generation, slow=True, slow_s=0.3)
        upload = an_upload(noise(25 * MIB))
        told: list[float] = []
        (stored,) = now(tools.cloud.store(upload.streams))
        now(tools.cloud.seal(upload.upload, stored, told.append))
        assert told == sorted(told)
        assert told[-1] == 1.0
        assert len({one for one in told if one < 0.4}) > 1, "bundling is seen"
        assert len({one for one in told if one > 0.4}) > 1, "uploading is seen"
        now(tools.cloud.remove(upload.bundle))


def test_holes_stay_holes_on_the_disk(tmp_path: Path, credentials: Credentials) -> None:
    tools = euca2ools(tmp_path, "3.4", credentials)
    upload = an_upload(b"begin" + bytes(64 * MIB) + b"end")
    now(tools.cloud.store(upload.streams))
    (path,) = (one for one in tools.ground.rglob("*") if one.is_file())
    found = path.stat()
    assert found.st_size == upload.size_bytes
    assert found.st_blocks * 512 < MIB
    assert found.st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == tools.ground.stat().st_mode & 0o777 == 0o700
    now(tools.cloud.remove(upload.bundle))
    assert tools.left() == []
