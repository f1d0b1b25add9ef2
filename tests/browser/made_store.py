"""A store in this process whose catalogue the test chooses: many images, or hostile ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fakestoreapi
from fakestoreapi import Image


class _Quiet(fakestoreapi.Request):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class MadeStore(fakestoreapi.Store):
    """``fakestoreapi.py`` with other images.

    Args:
        directory: what it serves, with a file ``image.gz``.
        images: what it offers.
        extra: fields that go over what is said of an image, by its id.
        sections: summaries by title.
    """

    url = ""

    def __init__(
        self,
        directory: Path,
        images: Sequence[Image],
        extra: Mapping[str, Mapping[str, Any]] | None = None,
        sections: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self.images = {image.id: image for image in images}
        self._extra = extra or {}
        self._sections = sections or SECTIONS

    def listing(self, base: str, query: str | None = None) -> dict[str, Any]:
        answer = super().listing(base, query)
        if query is None:
            answer["sections"] = [
                {
                    "title": title,
                    "summary": summary,
                    "image-uris": [
                        f"{base}/images/{image.id}"
                        for image in self.images.values()
                        if image.section == title
                    ],
                }
                for title, summary in self._sections.items()
            ]
        return answer

    def _shown(self, image: Image, base: str) -> dict[str, Any]:
        return {**super()._shown(image, base), **self._extra.get(image.id, {})}


@contextmanager
def serving(store: MadeStore) -> Iterator[MadeStore]:
    """Serve it on a free port of this machine; ``store.url`` says where."""
    server = fakestoreapi.FakeStoreServer(store, port=0)
    server.RequestHandlerClass = _Quiet
    store.url = server.url
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


SECTIONS = {
    "Servers": "Whole systems, ready to log in to.",
    "Desktops": "Systems with a screen, shown through a browser.",
    "Appliances": "Systems that do one thing.",
}
_SYSTEMS = (
    ("Example Server", "A small server, ready to log in to.", "Servers"),
    ("Example Desktop", "A desktop that is shown through a browser.", "Desktops"),
    ("Example Web Server", "Serves pages from its first boot on.", "Appliances"),
    ("Example Database", "A database, empty and ready.", "Appliances"),
    ("Example Mail Server", "Takes and keeps mail for one domain.", "Appliances"),
    ("Example Build Machine", "Compilers, and a queue of work for them.", "Servers"),
)


_FEW = (
    ("Basalt Server 8", "A small server, ready to log in to.", "Servers", "8.2"),
    ("Cinder Desktop", "A desktop that is shown through a browser.", "Desktops", "24.1"),
    ("Dune Web Server", "Serves pages from its first boot on.", "Appliances", "1.4.2"),
    ("Ember Database", "A database, empty and ready.", "Appliances", "16.3"),
    ("Fjord Mail Server", "Takes and keeps mail for one domain.", "Appliances", "3.0.1"),
    ("Granite Build Machine", "Compilers, and a queue of work for them.", "Servers", "12"),
    ("Harbour Registry", "Keeps containers for those who may have them.", "Appliances", "2.9"),
    ("Inlet Gateway", "Leads one private network into another.", "Appliances", "5.1"),
    ("Juniper Notebook", "Notebooks for reckoning, shared by a group.", "Desktops", "4.4"),
    ("Kelp Queue", "Hands work from one machine to many.", "Appliances", "0.9.7"),
    ("Lichen Server, long support", "Changes seldom, for ten years.", "Servers", "6.6"),
    ("Mistral Cache", "Answers in place of slower machines.", "Appliances", "7.2"),
)


def few() -> list[Image]:
    """Make a catalogue of a dozen systems that exist nowhere."""
    return [
        Image(f"{number:04x}", title, summary, section, ("hvm", section.lower()), version,
              1 + number, "hvm", ("image",))
        for number, (title, summary, section, version) in enumerate(_FEW)
    ]  # fmt: skip


def many(count: int) -> list[Image]:
    """Make a catalogue with as much text as a real one has."""
    images = []
    for number in range(count):
        name, summary, section = _SYSTEMS[number % len(_SYSTEMS)]
        release = 1 + number // len(_SYSTEMS)
        images.append(
            Image(
                f"{number:06x}",
                f"{name} {release}.04",
                summary,
                section,
                ("hvm", section.lower()),
                f"{release}.04.{number % 9}",
                1 + number,
                "hvm",
                ("image",),
            )
        )
    return images
