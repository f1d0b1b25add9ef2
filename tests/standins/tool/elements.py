"""XML as these tools read it: elements by name, without their namespaces."""

from __future__ import annotations

import pyexpat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Element:
    """One element, with all that is in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Element] = []

    def all(self, name: str) -> Iterator[Element]:
        """Each element of that name, itself among them, however deep."""
        if self.name == name:
            yield self
        for child in self.children:
            yield from child.all(name)

    def first(self, name: str) -> str | None:
        """The text of the first of these."""
        return next((element.text for element in self.all(name)), None)

    def child(self, name: str) -> str | None:
        """The text of the first of its own children of that name."""
        return next((child.text for child in self.children if child.name == name), None)


def read(document: bytes) -> Element:
    """Read a document; the answer is its outermost element.

    Raises:
        ValueError: it is no XML.
    """
    top = Element("")
    path = [top]
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True

    def begin(name: str, _: object) -> None:
        element = Element(name.rpartition(":")[2])
        path[-1].children.append(element)
        path.append(element)

    def end(_: str) -> None:
        path.pop()

    def said(text: str) -> None:
        path[-1].text += text

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = said
    try:
        parser.Parse(document, True)
    except pyexpat.ExpatError as error:
        raise ValueError(str(error)) from None
    return top.children[0]


def escape(text: str) -> str:
    """What stands between two tags."""
    return text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")
