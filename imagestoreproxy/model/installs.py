"""One install per image: its states, what may happen in each, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from imagestoreproxy.model.errors import CallerError
from imagestoreproxy.model.images import FileKind, ImageInfo


class State(StrEnum):
    """Where the work on an image stands. The same words are in the database and in the docs."""

    UNINSTALLED = "uninstalled"
    WAITING = "waiting"
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    PAUSED = "paused"
    INSTALLED = "installed"
    CANCELLING = "cancelling"
    FAILING = "failing"
    FAILED = "failed"
    REMOVING = "removing"


class Event(StrEnum):
    """What may happen to an image."""

    ACCEPT = "accept"
    START = "start"
    DOWNLOADED = "downloaded"
    REGISTERED = "registered"
    CANCEL = "cancel"
    FAIL = "fail"
    UNDONE = "undone"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    CLEAR = "clear"
    REMOVE = "remove"


TRANSITIONS: dict[tuple[State, Event], State] = {
    # A click on Install; on an installed image it is the click on a newer version.
    (State.UNINSTALLED, Event.ACCEPT): State.WAITING,
    (State.FAILED, Event.ACCEPT): State.WAITING,
    (State.INSTALLED, Event.ACCEPT): State.WAITING,
    # A place became free.
    (State.WAITING, Event.START): State.DOWNLOADING,
    # Every file is on disk and matches its signed digest.
    (State.DOWNLOADING, Event.DOWNLOADED): State.INSTALLING,
    # The cloud gave the image its id, and was asked whether it is really there.
    (State.INSTALLING, Event.REGISTERED): State.INSTALLED,
    # It stops where it is, and keeps what came and what was stored; its place goes to the next.
    (State.WAITING, Event.PAUSE): State.PAUSED,
    (State.DOWNLOADING, Event.PAUSE): State.PAUSED,
    (State.INSTALLING, Event.PAUSE): State.PAUSED,
    # It waits for a place like any other, and goes on from what the ledger says.
    (State.PAUSED, Event.RESUME): State.WAITING,
    # A cancel takes back what was done so far; also when a failure is being taken back already.
    (State.WAITING, Event.CANCEL): State.CANCELLING,
    (State.DOWNLOADING, Event.CANCEL): State.CANCELLING,
    (State.INSTALLING, Event.CANCEL): State.CANCELLING,
    (State.PAUSED, Event.CANCEL): State.CANCELLING,
    (State.CANCELLING, Event.CANCEL): State.CANCELLING,
    (State.FAILING, Event.CANCEL): State.CANCELLING,
    # A failure takes back what is in the cloud, and keeps verified files for the next try.
    (State.WAITING, Event.FAIL): State.FAILING,
    (State.DOWNLOADING, Event.FAIL): State.FAILING,
    (State.INSTALLING, Event.FAIL): State.FAILING,
    # Nothing is left in the cloud; after a cancel nothing on the disk either.
    (State.CANCELLING, Event.UNDONE): State.UNINSTALLED,
    (State.FAILING, Event.UNDONE): State.FAILED,
    # The daemon was stopped or killed: work goes on from what the ledger says.
    (State.WAITING, Event.RESTART): State.WAITING,
    (State.DOWNLOADING, Event.RESTART): State.WAITING,
    (State.INSTALLING, Event.RESTART): State.WAITING,
    # What somebody has paused goes on only when somebody says so.
    (State.PAUSED, Event.RESTART): State.PAUSED,
    (State.CANCELLING, Event.RESTART): State.CANCELLING,
    (State.FAILING, Event.RESTART): State.FAILING,
    # A click on Uninstall; it goes on, over restarts, until nothing of the image is left.
    (State.INSTALLED, Event.REMOVE): State.REMOVING,
    (State.FAILED, Event.REMOVE): State.REMOVING,
    (State.REMOVING, Event.RESTART): State.REMOVING,
    (State.REMOVING, Event.UNDONE): State.UNINSTALLED,
    # It could not be taken back for good: the error says what is left, and where.
    (State.CANCELLING, Event.FAIL): State.FAILED,
    (State.REMOVING, Event.FAIL): State.FAILED,
    # The user has read such an error, and what is left is tried once more.
    (State.FAILED, Event.CANCEL): State.CANCELLING,
    # The user has read the error; files kept for another try are given up.
    (State.FAILED, Event.CLEAR): State.UNINSTALLED,
}

# Begun, and not at its end; also while it is paused.
ACTIVE = frozenset(
    {
        State.WAITING,
        State.DOWNLOADING,
        State.INSTALLING,
        State.PAUSED,
        State.CANCELLING,
        State.FAILING,
        State.REMOVING,
    }
)


def advance(state: State, event: Event) -> State:
    """Give the state after ``event``.

    Raises:
        CallerError: 409, when the event cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise CallerError(f"'{event}' is not possible while the image is {state}.", 409) from None


class Status(StrEnum):
    """The four words the Store tab knows."""

    UNINSTALLED = "uninstalled"
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    INSTALLED = "installed"


STATUS: dict[State, Status] = {
    State.UNINSTALLED: Status.UNINSTALLED,
    State.WAITING: Status.DOWNLOADING,
    State.DOWNLOADING: Status.DOWNLOADING,
    State.INSTALLING: Status.INSTALLING,
    State.PAUSED: Status.DOWNLOADING,
    State.INSTALLED: Status.INSTALLED,
    State.CANCELLING: Status.INSTALLING,
    State.FAILING: Status.INSTALLING,
    State.FAILED: Status.UNINSTALLED,
    State.REMOVING: Status.INSTALLING,
}


class Step(StrEnum):
    """What an install is doing, for people; in order."""

    WAITING = "waiting"
    PAUSED = "paused"
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    UPLOADING = "uploading"
    BUNDLING = "bundling"
    REGISTERING = "registering"
    REMOVING = "removing"
    UNDOING = "undoing"


class Action(StrEnum):
    """What a user may ask for; the last part of an action URI."""

    INSTALL = "install"
    RETRY = "retry"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    CLEAR_ERROR = "clear-error"
    UNINSTALL = "uninstall"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Install:
    """The work on one image: the row that survives a restart.

    Args:
        token: 16 hex digits, new for each click; names what is ours on disk and in the cloud.
        document: the signed document, word for word; empty until it was fetched.
        progress_percent: the highest percentage shown so far.
        error: one plain sentence, when ``state`` is ``failing`` or ``failed``.
    """

    image_uri: str
    source: str
    state: State
    token: str
    info: ImageInfo
    updated_at_s: float
    document: bytes = b""
    plan: str = ""
    progress_percent: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one file becomes in the cloud, and the ledger's row for it.

    Written before the first byte goes out (``location`` and ``image_id`` empty), after the manifest
    is in place (``location``), before registering (``registering``) and after (``image_id``).

    Args:
        bucket: the S3 bucket; holds this bundle and nothing else, and is ours alone.
        name: file name of the image inside the bundle, and stem of its parts.
        content: names what is in it: bundles of the same content can stand in for each other.
        secret: 64 hex digits, AES key and IV; kept, so that an upload can go on where it broke.
        location: ``BUCKET/NAME.manifest.xml``.
        image_id: ``eki-``, ``eri-`` or ``emi-`` id, as the cloud says it.
    """

    image_uri: str
    kind: FileKind
    bucket: str
    name: str
    content: str = ""
    secret: str = field(default="", repr=False)
    location: str = ""
    registering: bool = False
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """An image that is registered in the cloud, with the document that says why.

    Args:
        number: of its row; 0 before it has one.
        bundles: what it consists of; a kernel or a ramdisk may be other installations' too.
        gone: why it is no longer there, in one plain sentence; empty while it is.
    """

    image_uri: str
    source: str
    version: str
    serial: int
    info: ImageInfo
    emi: str
    eki: str
    eri: str
    document: bytes
    fingerprint: str
    installed_at_s: float
    bundles: tuple[Bundle, ...] = ()
    gone: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison with the cloud found.

    Args:
        checked: installations that were looked for.
        gone: image URIs that were installed and are no longer there.
        back: image URIs that were gone and are there again.
        strangers: buckets with names like ours that no record knows; they are left alone.
        problem: why the comparison is not complete; empty when it is.
    """

    checked: int = 0
    gone: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an install is; bytes are those of the step it is in, as downloaded.

    Args:
        queue_position: 1 for the next to get a place; 0 for what does not wait for one.
    """

    step: Step
    percent: int
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_second: float = 0.0
    eta_s: float | None = None
    queue_position: int = 0


@dataclass(frozen=True, slots=True)
class ImageState:
    """All that is said about one image at one moment; ``web/present.py`` makes JSON of it.

    Args:
        follows: it is kept up to date without a click.
    """

    image_uri: str
    status: Status
    actions: tuple[Action, ...] = ()
    progress: Progress | None = None
    is_upgrade: bool = False
    emi: str = ""
    eki: str = ""
    eri: str = ""
    installed_version: str = ""
    error_message: str = ""
    updated_at_s: float = 0.0
    follows: bool = False
