"""The lines of the run guide, in a real shell, with tools that write down how they were called."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from imagestoreproxy.model.images import ImageInfo
from imagestoreproxy.model.running import Place, run_guide

INFO = ImageInfo("http://store.example/1", login_user="admin", ports=(22, 80))
EMI = "emi-1; exit 7"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nonce\n-----END RSA PRIVATE KEY-----\n"
TOOL = """\
#!/bin/sh
name=$(basename "$0")
python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$name" "$@" >> "$CALLS"
case "$name $*" in
*key*pair*--key-name*|euca-add-keypair*) cat "$HOME/answer.pem" ;;
*PublicIpAddress*) echo 10.9.8.7 ;;
*InstanceId*) echo i-42 ;;
euca-run-instances*) printf 'RESERVATION\\tr-1\\nINSTANCE\\ti-42\\temi-1\\t0.0.0.0\\n' ;;
euca-describe-instances*)
    if test -e "$HOME/asked"; then state=running; else state=pending; fi
    touch "$HOME/asked"
    printf 'RESERVATION\\tr-1\\nINSTANCE\\ti-42\\temi-1\\t10.9.8.7\\t172.16.0.2\\t%s\\n' $state ;;
esac
"""
NAMES = ("aws", "ssh", "sleep", "euca-add-keypair", "euca-authorize", "euca-run-instances")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an eucarc in an odd place, and all tools."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (*NAMES, "euca-describe-instances"):
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    (tmp_path / "my creds").mkdir()
    (tmp_path / "my creds" / "eucarc").write_text(
        "export EC2_ACCESS_KEY='AK'\nexport EC2_SECRET_KEY='SK'\nexport EC2_URL=http://c:8773/\n"
    )
    (tmp_path / "answer.pem").write_text(KEY)
    return tmp_path


def run(home: Path, way: str, shell: str = "sh") -> list[list[str]]:
    """Run the lines of a way; give each call of a tool."""
    place = Place(ec2_url="http://c:8773/", eucarc=str(home / "my creds" / "eucarc"))
    guide = run_guide(INFO, EMI, place)
    commands = next(one.commands for one in guide.ways if one.name == way)
    calls = home / "calls"
    calls.write_text("")
    environment = {
        "HOME": str(home),
        "CALLS": str(calls),
        "PATH": f"{home / 'tools'}:{os.environ['PATH']}",
    }
    script = "\n".join((*commands, 'echo "$AWS_ACCESS_KEY_ID $EC2_SECRET_KEY"'))
    done = subprocess.run(
        [shell, "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("AK SK\n" if way != "euca2ools" else " SK\n")
    return [json.loads(line) for line in calls.read_text().splitlines()]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_h13_euca2ools_are_called_with_whole_words_until_one_is_logged_in(
    home: Path, shell: str
) -> None:
    assert run(home, "euca2ools", shell) == [
        ["euca-add-keypair", "image-store"],
        ["euca-authorize", "-P", "tcp", "-p", "22", "-s", "0.0.0.0/0", "default"],
        ["euca-authorize", "-P", "tcp", "-p", "80", "-s", "0.0.0.0/0", "default"],
        ["euca-run-instances", "-t", "m1.small", "-k", "image-store", EMI],
        ["euca-describe-instances", "i-42"],
        ["sleep", "5"],
        ["euca-describe-instances", "i-42"],
        ["euca-describe-instances", "i-42"],
        ["ssh", "-i", str(home / "image-store.pem"), "admin@10.9.8.7"],
    ]


def test_h13_the_aws_command_line_is_called_with_whole_words_until_one_is_logged_in(
    home: Path,
) -> None:
    calls = run(home, "AWS command line")
    assert [call[2] for call in calls[:-1]] == [
        "create-key-pair",
        "authorize-security-group-ingress",
        "authorize-security-group-ingress",
        "run-instances",
        "wait",
        "describe-instances",
    ]
    assert calls[3][calls[3].index("--image-id") + 1] == EMI
    assert all(call[call.index("--endpoint-url") + 1] == "http://c:8773/" for call in calls[:-1])
    assert calls[-1] == ["ssh", "-i", str(home / "image-store.pem"), "admin@10.9.8.7"]


@pytest.mark.parametrize("way", ["euca2ools", "AWS command line"])
def test_the_private_key_is_for_its_owner_only_and_never_overwritten(home: Path, way: str) -> None:
    run(home, way)
    key = home / "image-store.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text() == KEY
    (home / "answer.pem").write_text("an error instead of a key")
    calls = run(home, way)
    assert key.read_text() == KEY
    assert not any("key" in call[0] or call[2:3] == ["create-key-pair"] for call in calls)
