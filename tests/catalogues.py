"""What the proxy makes of every real catalogue at hand: ``python -m tests.catalogues``.

Writes the table in ``docs/sources.md`` anew. Each catalogue is read in a process of its own, so
that time and memory are of that one alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.sources.simplestreams.reading import read_products
from imagestoreproxy.sources.simplestreams.stream import Tally

ROOT = Path(__file__).parents[1]
STREAMS = ROOT.parent / "shared" / "data" / "streams"
PAGE = ROOT / "docs" / "sources.md"
BEGIN = "<!-- begin of the table: python -m tests.catalogues -->"
END = "<!-- end of the table -->"
HEAD = (
    "| catalogue | products | versions | offered | not offered, and why | read in | memory |\n"
    "|---|--:|--:|--:|---|--:|--:|\n"
)
UBUNTU = "com.ubuntu.cloud:released:download.json"
SYNTHETIC = "made up: Ubuntu's two, over and over, 20 MB"
MIRROR = "https://mirror.example/"
NOW_S = 1_764_000_000.0


def catalogues() -> list[str]:
    """Give every real catalogue of products, by its path; those of before 1.0 included."""
    found = [*STREAMS.rglob("*.json"), *STREAMS.rglob("*.js"), *STREAMS.rglob("*.sjson")]
    names = [path for path in found if "index" not in path.name]
    return sorted(str(path.relative_to(STREAMS)) for path in names)


def payload_of(name: str) -> bytes:
    return synthetic() if name == SYNTHETIC else (STREAMS / name).read_bytes()


def synthetic() -> bytes:
    """Make a catalogue of about 20 MB out of the two real ones of Ubuntu."""
    base = STREAMS / "cloud-images.ubuntu.com"
    whole = json.loads((base / "releases/streams/v1" / UBUNTU).read_bytes())
    minimal = json.loads((base / "minimal/releases/streams/v1" / UBUNTU).read_bytes())
    once = {**whole["products"], **minimal["products"]}
    whole["products"] = {f"{name}:{at}": one for at in range(15) for name, one in once.items()}
    return json.dumps(whole).encode()


def read(payload: bytes) -> Tally | str:
    """Give where the products went, or why none of the file is believed."""
    try:
        return read_products(payload, root=MIRROR, taking=Taking(), now_s=NOW_S).tally()
    except DocumentError as error:
        return error.message


def counts(name: str) -> str:
    """Give the columns of a row that are the same on every machine."""
    result = read(payload_of(name))
    if isinstance(result, str):
        return f"| `{name}` | – | – | – | {result} |"
    lost = "<br>".join(f"{count}: {reason}" for reason, count in result.refused) or "–"
    return f"| `{name}` | {result.products} | {result.versions} | {result.offered} | {lost} |"


def measured(path: Path) -> str:
    """Give the columns that are measured, in this process."""
    payload = path.read_bytes()
    before = _peak_mib(reset=True)
    begun = time.perf_counter()
    read(payload)
    took_ms = (time.perf_counter() - begun) * 1000
    return f" {took_ms:.0f} ms | {max(0.0, _peak_mib() - before):.1f} MiB |"


def _peak_mib(*, reset: bool = False) -> float:
    if reset:
        # Linux: from here on the peak counts from what is taken up now.
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    kib = int(peaks[0]) if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024


def row(name: str) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload_of(name))
        file.flush()
        child = [sys.executable, "-m", "tests.catalogues", "--measure", file.name]
        answer = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=True)
    return counts(name) + answer.stdout


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        print(measured(Path(sys.argv[2])), end="")
        return
    table = HEAD + "".join(f"{row(name)}\n" for name in [*catalogues(), SYNTHETIC])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


if __name__ == "__main__":
    main()
