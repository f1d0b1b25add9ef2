"""Homes, files and manifests of euca2ools: private, bounded, and cleaned up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.euca2ools.arguments import Bundling
from imagestoreproxy.clouds.euca2ools.generations import ALL, V2_1, V3_0, V3_1, Generation
from imagestoreproxy.clouds.euca2ools.ground import Ground
from imagestoreproxy.clouds.euca2ools.headway import Bundled, forward
from imagestoreproxy.clouds.euca2ools.home import a_home
from imagestoreproxy.clouds.euca2ools.readback import LocalBundle, read_bundle
from imagestoreproxy.model.bundles import Chunk
from imagestoreproxy.model.errors import CloudError, UnpackError
from imagestoreproxy.model.images import FileKind
from imagestoreproxy.model.installs import Bundle
from tests.unit.memory import NeverStop

KEYS = Credentials(
    "here", "AKEY", "SECRET/KEY", "", "http://h/ec2", "http://h/s3", b"cert", b"key", b"cloud", "42"
)
BUNDLE = Bundle("uri", FileKind.IMAGE, "image-store-1-image", "image-x")


@pytest.mark.parametrize("generation", ALL, ids=lambda one: one.name)
def test_a_home_holds_the_certificates_and_is_gone_afterwards(
    generation: Generation, tmp_path: Path
) -> None:
    ground = Ground(tmp_path / "euca2ools")
    with a_home(ground, KEYS, generation, "/bin", system_eucarc=tmp_path / "none") as home:
        environment = home.environment
        assert home.more == ()
        for name, content in (("EC2_CERT", b"cert"), ("EC2_PRIVATE_KEY", b"key")):
            path = Path(environment[name])
            assert path.read_bytes() == content
            assert path.stat().st_mode & 0o777 == 0o600
        for pair in ("EC2_ACCESS_KEY EC2_SECRET_KEY", "AWS_ACCESS_KEY AWS_SECRET_KEY"):
            assert [environment[name] for name in pair.split()] == ["AKEY", "SECRET/KEY"]
        assert environment["EC2_USER_ID"] == "42"
        assert home.path.stat().st_mode & 0o777 == 0o700
        assert "AWS_SECURITY_TOKEN" not in environment
    assert list(ground.path.iterdir()) == []


def test_an_error_leaves_no_home_behind(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "euca2ools")
    with pytest.raises(ZeroDivisionError), a_home(ground, KEYS, V3_1, "/bin"):
        1 / 0  # noqa: B018
    assert list(ground.path.iterdir()) == []


def test_tools_before_3_0_get_an_eucarc_of_ours_where_the_system_has_one(tmp_path: Path) -> None:
    eucarc = tmp_path / "eucarc"
    eucarc.touch()
    ground = Ground(tmp_path / "euca2ools")
    with a_home(ground, KEYS, V2_1, "/bin", system_eucarc=eucarc) as home:
        option, path = home.more
        assert option == "--config"
        lines = Path(path).read_text().splitlines()
        assert "export EC2_SECRET_KEY='SECRET/KEY'" in lines
        assert "export S3_URL='http://h/s3'" in lines
        assert Path(path).stat().st_mode & 0o777 == 0o600
    with a_home(ground, KEYS, V3_0, "/bin", system_eucarc=eucarc) as home:
        assert home.more == ()
    with (
        pytest.raises(CloudError, match="no quote"),
        a_home(ground, replace(KEYS, secret_key="a'b"), V2_1, "/bin", system_eucarc=eucarc),
    ):
        pass


def test_temporary_credentials_need_tools_that_know_of_them(tmp_path: Path) -> None:
    keys = replace(KEYS, session_token="TOKEN")
    ground = Ground(tmp_path / "euca2ools")
    with a_home(ground, keys, V3_1, "/bin") as home:
        assert home.environment["AWS_SECURITY_TOKEN"] == "TOKEN"
    with pytest.raises(CloudError, match="temporary") as caught, a_home(ground, keys, V3_0, "/bin"):
        pass
    assert "TOKEN" not in caught.value.message


def test_what_an_earlier_process_left_is_swept_away_and_what_this_one_has_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "euca2ools" / "image-store-0-image").mkdir(parents=True)
    (tmp_path / "euca2ools" / "image-store-0-image" / "image").write_bytes(b"x")
    ground = Ground(tmp_path / "euca2ools")
    path = ground.write(BUNDLE, [Chunk(b"content")], 7, NeverStop())
    assert [one.name for one in ground.path.iterdir()] == [BUNDLE.bucket]
    ground.open()
    assert path.read_bytes() == b"content"
    ground.clear(BUNDLE)
    ground.clear(BUNDLE)
    assert list(ground.path.iterdir()) == []


@pytest.mark.parametrize("content", [b"12345", b"1234567"])
def test_p5_a_file_of_another_size_is_refused(content: bytes, tmp_path: Path) -> None:
    ground = Ground(tmp_path / "euca2ools")
    with pytest.raises(UnpackError, match=f"gave {len(content)} bytes, not the 6"):
        ground.write(BUNDLE, [Chunk(content)], 6, NeverStop())


def test_zeros_and_what_is_between_them_come_back_as_they_were(tmp_path: Path) -> None:
    pieces = [bytes(100_000), b"a" * 70_000, bytes(1 << 20), b"\0\0b", bytes(5)]
    ground = Ground(tmp_path / "euca2ools")
    whole = b"".join(pieces)
    path = ground.write(BUNDLE, map(Chunk, pieces), len(whole), NeverStop())
    assert path.read_bytes() == whole


def test_the_fraction_of_a_bundle_follows_what_is_written_and_what_is_said(tmp_path: Path) -> None:
    told: list[float] = []
    bundled = Bundled(tmp_path, 1000, 3, told.append)
    bundled.look()
    (tmp_path / "x.tar.gz").write_bytes(bytes(500))
    bundled.look()
    bundled.heard("Encrypting image")
    (tmp_path / "x.part").write_bytes(bytes(250))
    bundled.look()
    bundled.heard("Splitting image...")
    (tmp_path / "x.tar.gz").unlink()
    (tmp_path / "x.part.00").write_bytes(bytes(125))
    bundled.look()
    assert told == sorted(told)
    assert told[:2] == [0, pytest.approx(1 / 6)]
    assert told[2:] == [pytest.approx(1 / 2), pytest.approx(2 / 3 + 1 / 12)]


def test_a_second_try_does_not_go_back() -> None:
    told: list[float] = []
    tell = forward(told.append)
    for fraction in (0.1, 0.7, 0.4, 0.8):
        tell(fraction)
    assert told == [0.1, 0.7, 0.7, 0.8]


PART = b"part"
XML = f"""<?xml version="1.0"?><manifest><version>2007-10-10</version>
<machine_configuration><architecture>x86_64</architecture><kernel_id>eki-1</kernel_id>
</machine_configuration><image><name>image-x</name><user>42</user><type>machine</type>
<size>1000</size><parts count="1"><part index="0"><filename>image-x.part.0</filename>
<digest algorithm="SHA1">{hashlib.sha1(PART).hexdigest()}</digest></part></parts></image>
<signature>aa</signature></manifest>"""


def read(tmp_path: Path, xml: str, part: bytes | None = PART) -> LocalBundle:
    bundling = Bundling(tmp_path / "image-x", tmp_path, FileKind.IMAGE, "x86_64", "eki-1")
    bundling.manifest.write_text(xml)
    if part is not None:
        (tmp_path / "image-x.part.0").write_bytes(part)
    return read_bundle(bundling, 1000, "42", NeverStop())


def test_a_bundle_is_read_with_its_parts(tmp_path: Path) -> None:
    bundle = read(tmp_path, XML)
    assert bundle.xml == XML.encode()
    assert bundle.size_bytes == len(XML) + len(PART)
    (part,) = bundle.parts
    assert part.stored.md5_hex == hashlib.md5(PART).hexdigest()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda xml: xml.replace("<kernel_id>eki-1</kernel_id>", ""), "names the kernel_id ''"),
        (lambda xml: xml.replace(">x86_64<", ">i386<"), "architecture 'i386' instead of 'x86_64'"),
        (lambda xml: xml.replace(">1000<", ">999<"), "the size '999'"),
        (lambda xml: xml.replace(">42<", ">admin<"), "the user 'admin'"),
        (lambda xml: xml.replace("<signature>aa", "<signature>"), "is not signed"),
        (lambda xml: xml.replace('count="1"', 'count="2"'), "does not name its parts"),
        (lambda xml: xml.replace("image-x.part.0", "etc/passwd"), "names the part 'passwd'"),
        (lambda xml: xml[:300], "is cut off"),
        (lambda xml: "", "is cut off"),
    ],
)
def test_p5_a_bundle_that_is_not_what_was_asked_for_is_not_sent(
    change: Callable[[str], str], why: str, tmp_path: Path
) -> None:
    with pytest.raises(CloudError, match=why):
        read(tmp_path, change(XML))


@pytest.mark.parametrize("part", [None, b"other", b""])
def test_p5_a_part_that_is_missing_or_another_is_seen(part: bytes | None, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"does not fit the part image-x\.part\.0"):
        read(tmp_path, XML, part)


def test_what_a_bundle_takes_on_the_disk_is_counted_without_holes(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "euca2ools")
    assert ground.taken_bytes(BUNDLE.bucket) == 0
    size_bytes = 16 * 2**20
    content = Chunk(bytes(size_bytes - 2**20), b""), Chunk(b"x" * 2**20, b"")
    ground.write(BUNDLE, content, size_bytes, NeverStop())
    assert 2**20 <= ground.taken_bytes(BUNDLE.bucket) < size_bytes // 2
    (ground.bundled(BUNDLE) / "image-x.part.0").write_bytes(b"y" * 2**20)
    assert 2 * 2**20 <= ground.taken_bytes(BUNDLE.bucket) < size_bytes // 2
    assert ground.taken_bytes("another") == 0
    ground.clear(BUNDLE)
    assert ground.taken_bytes(BUNDLE.bucket) == 0
