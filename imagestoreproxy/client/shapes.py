"""The shape of each command's ``--json``, written once: for readers, for programs and for tests.

Keys are only ever added. One that may be missing ends in ``?`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Keys = Mapping[str, tuple[Json, str]]

TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer", "minimum": 0}
NUMBER: Json = {"type": "number", "minimum": 0}
YES: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$"}
TEXTS: Json = {"type": "array", "items": TEXT}


def one(name: str) -> Json:
    """Refer to an object that is described in ``OBJECTS``."""
    return {"$ref": f"#/$defs/{name}"}


def many(of: Json) -> Json:
    """Describe a list."""
    return {"type": "array", "items": of}


def words(*allowed: str) -> Json:
    """Describe a text that is one of these."""
    return {"enum": list(allowed)}


def maybe(of: Json) -> Json:
    """Describe what may also be null."""
    return {"anyOf": [of, {"type": "null"}]}


STATE: Keys = {
    "image-uri": (TEXT, "the image"),
    "status": (words("uninstalled", "downloading", "installing", "installed"), "where it stands"),
    "actions": (
        {"type": "object", "additionalProperties": TEXT},
        "what may be done with it: a URL for each of `install`, `cancel`, `pause`, `resume`, "
        "`retry`, `clear-error`, `uninstall`, `forget`",
    ),
    "is-upgrade": (YES, "an older version is installed"),
    "progress-percentage?": (WHOLE, "0 to 100, only while work goes on or is paused"),
    "stage?": (TEXT, "what goes on: `waiting`, `downloading`, `uploading`, `paused` and so on"),
    "bytes-done?": (WHOLE, "of this stage"),
    "bytes-total?": (WHOLE, "of this stage"),
    "bytes-per-second?": (WHOLE, "the present rate"),
    "eta-seconds?": (WHOLE, "how long it will take"),
    "queue-position?": (WHOLE, "1: the next that gets a place; only while waiting"),
    "emi?": (TEXT, "the id of the image in the cloud; only when installed"),
    "eki?": (TEXT, "of its kernel"),
    "eri?": (TEXT, "of its ramdisk"),
    "installed-version?": (TEXT, "which version is installed"),
    "error-message?": (TEXT, "why the last try failed, or what hinders"),
    "follows?": (YES, "it is kept up to date"),
    "updated-at?": (WHOLE, "Unix seconds"),
}

IMAGE: Keys = {
    "uri": (TEXT, "what it is named by"),
    "title": (TEXT, "for people"),
    "summary": (TEXT, "a sentence"),
    "description-html": (TEXT, "sanitised"),
    "version": (TEXT, "the one that is offered"),
    "size-in-mb": (NUMBER, "of its files"),
    "tags": (TEXTS, "words to search by"),
    "provider": ({"type": "object"}, "`title`, and `uri` where there is one"),
    "icon-uri?": (TEXT, "a picture"),
    "architecture?": (TEXT, "of the machine that it runs on"),
    "releases?": (TEXTS, "names of its release"),
    "support-ends?": (TEXT, "a day"),
    "refused?": (TEXT, "why it is not for this cloud"),
    "unsigned?": (YES, "nobody vouches for it"),
    "source?": (TEXT, "the name of the source that offers it"),
    "login-user?": (TEXT, "who logs in to an instance"),
    "ports?": (many(WHOLE), "that an instance serves"),
}

RUN: Keys = {
    "run": (TEXT, "its name"),
    "image-uri": (TEXT, "the image"),
    "title": (TEXT, "of the image"),
    "version": (TEXT, "of the image"),
    "kind": (words("install", "uninstall"), "what was to be done"),
    "outcome": (
        words("going-on", "installed", "failed", "cancelled", "uninstalled", "paused"),
        "what came of it",
    ),
    "began-at": (TIME, "when it was asked for"),
    "ended-at?": (TIME, "when it was over"),
    "error-message?": (TEXT, "why it failed"),
    "emi?": (TEXT, "what came of it"),
    "bytes?": (WHOLE, "that were fetched"),
    "seconds": (NUMBER, "that it took until now"),
    "events?": (many(one("event")), "step by step; for one image only"),
}

OBJECTS: dict[str, tuple[str, Keys]] = {
    "state": ("A state", STATE),
    "image": ("An image", IMAGE),
    "section": (
        "A section of the catalogue",
        {
            "title": (TEXT, "for people"),
            "summary": (TEXT, "a sentence"),
            "image-uris": (TEXTS, "its images"),
        },
    ),
    "version": (
        "A version of an image",
        {"version": (TEXT, "its name"), "uri": (TEXT, "the image in this version")},
    ),
    "guide": (
        "How an image is run",
        {"ways": (many(one("way")), "one will do"), "notes": (TEXTS, "plain sentences")},
    ),
    "way": (
        "A way to run an image",
        {"name": (TEXT, "the tools"), "commands": (TEXTS, "shell lines, one after the other")},
    ),
    "install": (
        "What came of the install of an image",
        {
            "image-uri": (TEXT, "the image"),
            "state": (maybe(one("state")), "its last state"),
            "run-command?": (TEXT, "shell lines that start an instance"),
            "error-message?": (TEXT, "why it is not installed"),
        },
    ),
    "signer": (
        "Whose key signed",
        {"fingerprint": (TEXT, "of the key"), "name?": (TEXT, "of its owner")},
    ),
    "plan": (
        "What an install would do",
        {
            "image-uri": (TEXT, "the image"),
            "version": (TEXT, "that would be installed"),
            "is-upgrade": (YES, "an older version is installed"),
            "architecture": (TEXT, "of the machine that it runs on"),
            "virtualization": (TEXT, "`hvm` or `paravirtual`"),
            "signed-by": (one("signer"), "whose key signed it"),
            "published-at": (TIME, "when it was signed"),
            "expires-at?": (TIME, "until when the signature holds"),
            "fetch": (many(one("file")), "its files"),
            "fetch-bytes": (WHOLE, "that must really come"),
            "peak-disk-bytes": (WHOLE, "that are needed at the most"),
            "free-bytes": (WHOLE, "that there are"),
            "enough-room": (YES, "whether that will do"),
            "convert": (TEXTS, "how each file is made what the cloud takes"),
            "register": (many(one("registration")), "what there will be in the cloud"),
            "steps": (TEXTS, "plain sentences"),
            "problem?": (TEXT, "why it would fail now"),
        },
    ),
    "file": (
        "A file of an image",
        {
            "kind": (TEXT, "`kernel`, `ramdisk` or `image`"),
            "url": (TEXT, "where it comes from"),
            "bytes": (WHOLE, "its size"),
            "cached": (YES, "it is here already"),
        },
    ),
    "registration": (
        "What is registered with the cloud",
        {
            "kind": (words("kernel", "ramdisk", "image"), "as what"),
            "shared-with?": (TEXT, "the id of one that is there already, and is used"),
        },
    ),
    "run": ("An install or an uninstall", RUN),
    "event": (
        "A step of a run",
        {
            "at": (TIME, "when"),
            "what": (TEXT, "a word such as `downloaded`, `uploaded`, `paused`, `failed`"),
            "text": (TEXT, "a plain sentence"),
            "seconds?": (NUMBER, "that it took"),
            "bytes?": (WHOLE, "that it moved"),
        },
    ),
    "overview": (
        "The proxy as a whole",
        {
            "version": (TEXT, "of the proxy"),
            "started-at": (TIME, "when it was started"),
            "cloud": (TEXT, "which kind"),
            "installed": (WHOLE, "how many images are"),
            "failed": (WHOLE, "how many have an error"),
            "queue": (one("queue"), "of installs"),
            "disk": (one("disk"), "of the data directory"),
            "next-comparison-at?": (TIME, "when it will compare with the cloud"),
        },
    ),
    "queue": (
        "The queue of installs",
        {
            "running": (TEXTS, "image URIs"),
            "running-most": (WHOLE, "so many at a time"),
            "waiting": (TEXTS, "image URIs, the next one first"),
            "paused": (TEXTS, "image URIs"),
        },
    ),
    "disk": (
        "The disk of the data directory",
        {
            "path": (TEXT, "of the directory"),
            "free-bytes": (WHOLE, "of its file system"),
            "total-bytes": (WHOLE, "of its file system"),
            "downloads-bytes": (WHOLE, "of installs that are not over"),
            "cache-bytes": (WHOLE, "of verified files that are kept"),
            "cache-limit-bytes": (WHOLE, "how much may be kept"),
            "database-bytes": (WHOLE, "of the database"),
        },
    ),
    "followed": (
        "An image that is kept up to date",
        {
            "image-uri": (TEXT, "the image"),
            "title": (TEXT, "for people"),
            "keep": (WHOLE, "how many installations stay; 0: all"),
            "even-if-used": (YES, "older ones go even where an instance was started from them"),
            "followed-since": (TIME, "when that began"),
            "next-check-at": (TIME, "when it will be looked for a newer version"),
            "will": (TEXTS, "what will be done then, in sentences"),
            "installed-version?": (TEXT, "which is installed"),
            "offered-version?": (TEXT, "which is offered"),
        },
    ),
    "source": (
        "A source of images",
        {
            "name": (TEXT, "as configured"),
            "title": (TEXT, "for people"),
            "type": (TEXT, "`store` or `simplestreams`"),
            "url": (TEXT, "where it is"),
            "images": (WHOLE, "how many it offers"),
            "refused": (WHOLE, "how many of them are not for this cloud"),
            "unsigned": (YES, "nobody vouches for it"),
            "fetched-at?": (TIME, "when it was asked last"),
            "published-at?": (TIME, "when its catalogue was signed"),
            "next-refresh-at?": (TIME, "when it will be asked again"),
            "problem?": (TEXT, "why it cannot be asked or believed"),
            "remark?": (TEXT, "what is worth knowing"),
        },
    ),
    "reconciliation": (
        "A comparison with the cloud",
        {
            "checked": (WHOLE, "how many installed images were looked for"),
            "gone": (TEXTS, "image URIs: no longer in the cloud"),
            "back": (TEXTS, "image URIs: there again"),
            "strangers": (TEXTS, "what looks like ours, and nobody knows"),
            "problem": (TEXT, "why it is not complete; empty when it is"),
        },
    ),
    "finding": (
        "One thing that was looked at",
        {
            "what": (TEXT, "its name"),
            "ok": (YES, "whether it is well"),
            "problem?": (TEXT, "what is wrong, and what to do"),
            "note?": (TEXT, "what is worth knowing"),
        },
    ),
    "entry": (
        "An entry of the log",
        {
            "number": (WHOLE, "from 1 at the proxy's start"),
            "at": (TIME, "when"),
            "level": (words("debug", "info", "warn", "error"), "how much it matters"),
            "text": (TEXT, "what is said"),
            "namespace": (TEXT, "which part of the proxy says it"),
        },
    ),
}

SHAPES: dict[str, Keys] = {
    "listing": {
        "images": (many(one("image")), "what is offered, or matches"),
        "states": (many(one("state")), "of these, and of all that goes on or has failed"),
        "sections": (many(one("section")), "of the catalogue"),
        "error-message?": (TEXT, "what is wrong with a source"),
    },
    "show": {
        "image": (maybe(one("image")), "null: no source lists it now"),
        "state": (maybe(one("state")), "null: nothing is known"),
        "versions": (many(one("version")), "that can be installed by name, newest first"),
        "signed-by?": (one("signer"), "whose key signed what is installed"),
        "run?": (one("guide"), "how to run it; when it is installed"),
    },
    "status": {
        "states": (many(one("state")), "of what goes on, has failed or is gone; or as named"),
        "overview?": (one("overview"), "the proxy as a whole"),
    },
    "plan": {"plan": (one("plan"), "what would be done")},
    "watch": {"state": (one("state"), "a line for each change")},
    "history": {
        "history": (many(one("run")), "the newest first"),
        "history-total?": (WHOLE, "how many there are; without an image only"),
    },
    "install": {
        "installs": (many(one("install")), "one for each image"),
        "state?": (one("state"), "when one image was named"),
        "run-command?": (TEXT, "when one image was named, and is installed"),
    },
    "states": {
        "states": (many(one("state")), "one for each image"),
        "state?": (one("state"), "when one image was named"),
    },
    "state": {"state": (one("state"), "what came of it")},
    "follow": {
        "follow?": (one("followed"), "when an image was named"),
        "follows?": (many(one("followed")), "when none was named"),
    },
    "unfollow": {"unfollowed": (TEXT, "the image")},
    "sources": {"sources": (many(one("source")), "in the order of the configuration")},
    "bandwidth": {"limit-mb-per-s": (NUMBER, "of all downloads together; 0: none")},
    "reconcile": {"reconciliation": (one("reconciliation"), "what was found")},
    "check": {
        "ready": (YES, "whether an install would find all it needs"),
        "findings": (many(one("finding")), "what was looked at"),
        "error-message?": (TEXT, "when it is not ready"),
    },
    "logs": {
        "log": (many(one("entry")), "oldest first; with `--follow` each entry is a line"),
        "last-number": (WHOLE, "of the newest"),
    },
    "export": {
        "images": (many({"type": "object"}), "as in the archive's list"),
        "file": (TEXT, "the archive"),
    },
    "import": {"images": (many({"type": "object"}), "as in the archive's list")},
    "publish": {
        "images": (WHOLE, "how many there are"),
        "unchanged": (WHOLE, "of these"),
        "new-or-changed": (TEXTS, "names of the others"),
        "gone": (TEXTS, "names of those that are offered no longer"),
        "read-bytes": (WHOLE, "of files that were not known yet"),
        "serial": (WHOLE, "in the signed documents"),
        "url": (TEXT, "what a proxy asks"),
        "fingerprint": (TEXT, "of the key that signed"),
        "keyring": (TEXT, "a file with that key, for a proxy"),
        "not-installable": (TEXTS, "names of what this format cannot describe"),
    },
    "completion": {
        "shell": (TEXT, "which"),
        "script": (TEXT, "for the shell to read"),
    },
    "failure": {
        "error-message": (TEXT, "what failed, in plain words"),
        "next-commands?": (TEXTS, "what to type next"),
        "installs?": (many(one("install")), "of the images of an install"),
    },
}


def schema(name: str, *, closed: bool = False) -> Json:
    """Give the JSON Schema (2020-12) of a shape.

    Args:
        closed: refuses keys that are not described, as a test wants.
    """
    definitions = {key: _object(keys, closed=closed) for key, (_, keys) in OBJECTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_object(SHAPES[name], closed=closed),
        "$defs": definitions,
    }


def _object(keys: Keys, *, closed: bool) -> Json:
    return {
        "type": "object",
        "properties": {
            key.removesuffix("?"): {**what, "description": said}
            for key, (what, said) in keys.items()
        },
        "required": [key for key in keys if not key.endswith("?")],
        **({"additionalProperties": False} if closed else {}),
    }
