"""The stand-in tools themselves: other tests may only lean on what is shown here."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_clouds import whole_client
from tests.functional.eucarc_directory import ACCOUNT, EucarcDirectory, make_eucarc_directory
from tests.functional.unbundle import unbundle
from tests.standins.install import EUCA2OOLS, calls, install_standins, set_traps

OLD = tuple(name for name in EUCA2OOLS if name < "3")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def moto(moto_url: str) -> str:
    return moto_url


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory) -> EucarcDirectory:
    path = tmp_path_factory.mktemp("standins") / "credentials"
    return make_eucarc_directory(path, "http://unused/", "http://unused/")


class Bench:
    """The tools of one generation, an environment that all of them take, and moto's S3."""

    def __init__(self, generation: str, place: Path, granted: EucarcDirectory, moto: str) -> None:
        self.generation, self.place = generation, place
        self.tools = install_standins(place / "bin", generation, patience_s=0)
        self.home = place / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "EC2_URL": f"{moto}/",
            "S3_URL": f"{moto}/",
            "EC2_CERT": str(granted.user_certificate),
            "EC2_PRIVATE_KEY": str(granted.user_private_key),
            "EUCALYPTUS_CERT": str(granted.path / "cloud-cert.pem"),
            "EC2_USER_ID": ACCOUNT,
        }
        for stem in ("EC2", "AWS"):
            self.environment |= {f"{stem}_ACCESS_KEY": "id", f"{stem}_SECRET_KEY": "secret"}
        self.s3: Any = whole_client("s3", moto)
        self.bucket = f"isp-{random.getrandbits(64):016x}"

    def run(self, tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tools / tool, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def bundled(self, content: bytes = b"linux", *arguments: str) -> Path:
        image = self.place / "image-1"
        image.write_bytes(content)
        done = self.run(
            "euca-bundle-image",
            *("-i", str(image), "-r", "x86_64", "-d", str(self.place / "bundle"), *arguments),
        )
        assert done.returncode == 0, done
        manifest = self.place / "bundle" / "image-1.manifest.xml"
        assert done.stdout.splitlines()[-1].split(" manifest ")[1] == str(manifest)
        return manifest

    def uploaded(self, manifest: Path) -> str:
        done = self.run("euca-upload-bundle", "-b", self.bucket, "-m", manifest)
        assert done.returncode == 0, done
        location = f"{self.bucket}/{manifest.name}"
        assert done.stdout.splitlines()[-1].startswith("Uploaded ")
        assert done.stdout.splitlines()[-1].endswith(location)
        return location

    def registered(self, location: str) -> str:
        named = () if self.generation == "1.2" else ("-n", self.bucket, "-a", "x86_64")
        done = self.run("euca-register", *named, location)
        assert done.returncode == 0, done
        word, _, image_id = done.stdout.strip().partition("\t")
        assert word == "IMAGE"
        assert image_id.startswith("ami-")
        return image_id

    def kept(self) -> list[str]:
        return [
            item["Key"] for item in self.s3.list_objects(Bucket=self.bucket).get("Contents", [])
        ]


@pytest.fixture(params=EUCA2OOLS)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, granted: EucarcDirectory, moto: str
) -> Bench:
    return Bench(request.param, tmp_path, granted, moto)


def only(*generations: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bench", generations, indirect=True)


def test_what_they_bundle_and_upload_another_reader_reads(
    bench: Bench, granted: EucarcDirectory, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(11 << 20)
    manifest = bench.bundled(content)
    location = bench.uploaded(manifest)
    work = tmp_path / "work"
    work.mkdir()
    found = unbundle(
        bench.s3,
        location,
        work,
        private_key=granted.cloud_private_key,
        whose="ec2",
        certificate=granted.user_certificate,
        tar_digest=not bench.generation.startswith("1."),
    )
    assert found.image.read_bytes() == content
    assert found.fields["image/user"] == ACCOUNT
    assert len(bench.kept()) == 3


def test_an_image_is_registered_described_deregistered_and_its_bundle_deleted(
    bench: Bench,
) -> None:
    manifest = bench.bundled()
    location = bench.uploaded(manifest)
    image_id = bench.registered(location)
    described = bench.run("euca-describe-images", image_id)
    assert described.returncode == 0, described
    if bench.generation == "1.2":
        # It asks for all that the account both owns and was invited to: none, in moto.
        assert described.stdout == ""
    else:
        assert described.stdout.split("\t")[:2] == ["IMAGE", image_id]
    done = bench.run("euca-deregister", image_id)
    assert (done.returncode, done.stdout) == (0, f"IMAGE\t{image_id}\n")
    new = bench.generation > "3.0"
    done = bench.run(
        "euca-delete-bundle",
        *("-b", bench.bucket, "-m", manifest.name if new else manifest, "--clear"),
    )
    assert done.returncode == 0, done
    assert bench.bucket not in [one["Name"] for one in bench.s3.list_buckets()["Buckets"]]


def test_an_unknown_option_is_refused(bench: Bench) -> None:
    done = bench.run("euca-register", "--no-such-option", "bucket/manifest")
    assert done.returncode == (2 if bench.generation >= "3" else 1)


def test_the_version_is_told_where_each_generation_tells_it(bench: Bench) -> None:
    done = bench.run("euca-version")
    assert done.returncode == 0
    told = done.stderr if bench.generation >= "3" else done.stdout
    assert told.strip()
    assert done.stdout + done.stderr == told


def test_each_call_is_noted_without_values(bench: Bench) -> None:
    bench.run("euca-version", "-h")
    (call,) = calls(bench.tools)
    assert call["tool"] == "euca-version"
    assert call["arguments"] == ["-h"]
    assert set(call["environment"]) >= set(bench.environment)
    assert call["home"] == []


@only(*OLD[1:])
def test_a_shell_file_at_home_goes_before_the_environment(bench: Bench) -> None:
    (bench.home / ".eucarc").write_text("export EC2_URL=http://127.0.0.1:1/\n")
    done = bench.run("euca-describe-images", "-a")
    assert done.returncode == 1
    assert "Connection refused" in done.stdout + done.stderr


@only("3.0", "3.1", "3.4")
def test_the_names_of_the_eucarc_are_not_read_from_3_1_on(bench: Bench) -> None:
    for name in ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"):
        del bench.environment[name]
    done = bench.run("euca-describe-images", "ami-0badc0de")
    if bench.generation == "3.0":
        assert "InvalidAMIID" in done.stderr
    else:
        assert done.returncode == 1
        assert "missing access key ID" in done.stderr


@only("1.2", "1.3", "2.1", "3.4")
def test_a_refused_upload_is_told_by_exit_status_from_2_0_on_only(bench: Bench) -> None:
    manifest = bench.bundled()
    set_traps(bench.tools, refused_upload=True)
    done = bench.run("euca-upload-bundle", "-b", bench.bucket, "-m", manifest)
    assert done.returncode == (0 if bench.generation < "2" else 1)
    assert "Uploaded" not in done.stdout


def test_a_missing_image_location_is_an_empty_image_in_2_x(bench: Bench) -> None:
    named = () if bench.generation == "1.2" else ("-n", bench.bucket)
    done = bench.run("euca-register", *named)
    if bench.generation.startswith("2."):
        assert done.stdout.startswith("IMAGE\tami-")
    else:
        assert done.returncode == (2 if bench.generation >= "3" else 1)


@only("3.2", "3.4")
def test_without_a_private_key_the_manifest_is_unsigned_from_3_3_on(bench: Bench) -> None:
    del bench.environment["EC2_PRIVATE_KEY"]
    if bench.generation == "3.2":
        with pytest.raises(AssertionError, match="missing private key"):
            bench.bundled()
    else:
        assert "<signature>UNSIGNED</signature>" in bench.bundled().read_text()


@only("2.0", "2.1")
def test_2_x_says_nothing_of_a_refused_upload(bench: Bench) -> None:
    manifest = bench.bundled()
    set_traps(bench.tools, refused_upload=True)
    done = bench.run("euca-upload-bundle", "-b", bench.bucket, "-m", manifest)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"Checking bucket: {bench.bucket}\n"
