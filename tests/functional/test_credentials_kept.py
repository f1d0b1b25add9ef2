"""What a killed daemon leaves of a euca_conf under way is gone before the next one is called."""

from __future__ import annotations

import subprocess
from pathlib import Path

from imagestoreproxy.clouds.frontend.eucaconf import ROOM
from imagestoreproxy.clouds.frontend.kept import NEW, Kept


def test_p4_a_euca_conf_that_has_outlived_its_daemon_is_ended(tmp_path: Path) -> None:
    data = tmp_path / "data"
    room, new = data / f"{ROOM}left", data / f"{NEW}left"
    for one in (room, new):
        one.mkdir(parents=True)
        (one / "admin.zip").write_bytes(b"half")
    with subprocess.Popen(
        ["sh", "-c", "echo; exec sleep 600"], env={"HOME": str(room)}, stdout=subprocess.PIPE
    ) as outlived:
        try:
            assert outlived.stdout and outlived.stdout.readline()
            with Kept(data).renewed() as directory:
                assert outlived.wait(10) == -9
                (directory / "eucarc").write_text("export EC2_ACCESS_KEY=a EC2_SECRET_KEY=b\n")
        finally:
            outlived.kill()
    assert [path.name for path in data.iterdir()] == ["credentials"]
