"""The history of one install, written as it happens; it rides along with the rows that are saved.

Every event follows from a transition of ``model/installs.py`` or from a step, so that whoever adds
a transition adds nothing here but its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestoreproxy.model.history import Happening, Outcome, Run, RunKind, What
from imagestoreproxy.model.installs import Event, Install, State, Step
from imagestoreproxy.model.words import size

_STEPS = {
    Step.DOWNLOADING: (What.DOWNLOADING, "Its files are being fetched."),
    Step.UPLOADING: (What.UPLOADING, "What is here goes to the cloud."),
    Step.BUNDLING: (What.BUNDLING, "It is being bundled and uploaded."),
    Step.REGISTERING: (What.REGISTERING, "It is being registered."),
}
# What begins a try: each step is told once in each.
_BEGINNINGS = (What.STARTED, What.RESTARTED, What.RETRIED, What.RESUMED)


class Story:
    """The run of one ``Work``.

    Args:
        run: as it stands on record; None for a new one.

    Attributes:
        run: as it stands now.
        is_update: nobody has clicked; the image is followed.
    """

    def __init__(self, install: Install, run: Run | None, now_s: float) -> None:
        self.run = run or Run(
            token=install.token,
            image_uri=install.image_uri,
            title=install.info.title,
            version=install.info.version,
            kind=RunKind.UNINSTALL if install.state is State.REMOVING else RunKind.INSTALL,
            began_at_s=now_s,
        )
        self.is_update = False
        self._saved = run
        self._fetched_before = self.run.fetched_bytes

    def unsaved(self) -> Run | None:
        """Give the run if it has changed since it was written last."""
        return None if self.run is self._saved else self.run

    def was_saved(self, run: Run | None) -> None:
        """Note what is on record."""
        self._saved = run or self._saved

    def has_fetched(self, size_bytes: int) -> None:
        """Say how much came from servers since this process took the work up."""
        total = self._fetched_before + size_bytes
        if total != self.run.fetched_bytes:
            self.run = replace(self.run, fetched_bytes=total)

    def tell(
        self,
        what: What,
        text: str,
        now_s: float,
        *,
        since: Sequence[What] = (),
        size_bytes: int | None = None,
    ) -> None:
        """Add an event; one that is told again at once, because it was tried again, is not.

        Args:
            since: what it began with, whichever came last: for how long it took.
        """
        last = self.run.events[-1] if self.run.events else None
        if last and (last.what, last.text) == (what, text):
            return
        begun = self.run.last(*since)
        seconds = max(0.0, now_s - begun.at_s) if begun else None
        self.run = self.run.with_event(Happening(now_s, what, text, seconds, size_bytes))

    def begins(self, step: Step, now_s: float) -> None:
        """Tell of a step, once in each try."""
        if step not in _STEPS:
            return
        what, text = _STEPS[step]
        last = self.run.last(what, *_BEGINNINGS)
        if last is None or last.what is not what:
            self.tell(what, text, now_s)

    def heard(self, event: Event, before: State, after: State, error: str, now_s: float) -> None:
        """Tell of a transition."""
        match event:
            case Event.ACCEPT:
                self._is_accepted(now_s)
            case Event.START:
                text = "A place was free, and the install began."
                self.tell(What.STARTED, text, now_s, since=(What.ACCEPTED, *_BEGINNINGS))
            case Event.DOWNLOADED:
                moved = self.run.fetched_bytes
                came = f"{size(moved)} were fetched" if moved else "nothing had to be fetched"
                text = f"Every file is here and has the right digest; {came}."
                self.tell(What.DOWNLOADED, text, now_s, since=[What.DOWNLOADING], size_bytes=moved)
            case Event.CANCEL if before is not State.CANCELLING:
                what = "What is left of it" if before is State.FAILED else "It was cancelled: it"
                self.tell(What.CANCELLED, f"{what} is taken back.", now_s)
            case Event.FAIL:
                self.tell(What.FAILED, error, now_s)
                self._ends(Outcome.FAILED, now_s, error, is_over=after is State.FAILED)
            case Event.REMOVE:
                self.run = replace(self.run, kind=RunKind.UNINSTALL)
                self.tell(What.REMOVING, "The uninstall was asked for.", now_s)
            case Event.PAUSE:
                self.tell(What.PAUSED, "It was paused; what came so far is kept.", now_s)
                self.run = replace(self.run, outcome=Outcome.PAUSED)
            case Event.RESUME:
                self.tell(What.RESUMED, "It goes on when there is a place.", now_s)
                self._goes_on()
            case Event.RESTART:
                how = "it is still paused" if after is State.PAUSED else "it goes on"
                self.tell(What.RESTARTED, f"The proxy was started again; {how}.", now_s)
            case Event.CLEAR:
                self.tell(What.UNDONE, "Its error was cleared, and what was kept is gone.", now_s)
            case Event.UNDONE:
                self._is_undone(before, error, now_s)

    def _is_accepted(self, now_s: float) -> None:
        if self.run.events:
            again = "It is kept up to date, so it is tried again."
            text = again if self.is_update else "The install was asked for again."
            self.tell(What.RETRIED, text, now_s)
            self._goes_on()
        else:
            came = "It is kept up to date, and a newer version came."
            text = came if self.is_update else "The install was asked for."
            self.tell(What.ACCEPTED, text, now_s)

    def _is_undone(self, before: State, error: str, now_s: float) -> None:
        if before is State.REMOVING:
            text = "It is out of the cloud."
            self.tell(What.UNINSTALLED, text, now_s, since=[What.REMOVING])
            self._ends(Outcome.UNINSTALLED, now_s)
        elif before is State.CANCELLING:
            self.tell(What.UNDONE, "Nothing is left of it.", now_s, since=[What.CANCELLED])
            has_failed = self.run.outcome is Outcome.FAILED and self.run.ended_at_s
            if not has_failed:
                self._ends(Outcome.CANCELLED, now_s)
        elif error == self.run.error:
            self.tell(
                What.UNDONE, "Nothing is left of it in the cloud.", now_s, since=[What.FAILED]
            )
            self._ends(Outcome.FAILED, now_s, error)
        else:  # it could not be taken back, and the error says so
            self.tell(What.FAILED, error, now_s)
            self._ends(Outcome.FAILED, now_s, error)

    def installed(self, emi: str, version: str, now_s: float) -> Run:
        """Give the run as it is once the installation is on record."""
        before = self.run
        try:
            text = f"Version {version} is installed as {emi}."
            self.tell(What.INSTALLED, text, now_s, since=(What.ACCEPTED, What.RETRIED))
            self._ends(Outcome.INSTALLED, now_s)
            return replace(self.run, version=version, emi=emi)
        finally:
            self.run = before

    def _goes_on(self) -> None:
        self.run = replace(self.run, outcome=Outcome.GOING_ON, ended_at_s=0.0, error="")

    def _ends(
        self, outcome: Outcome, now_s: float, error: str = "", *, is_over: bool = True
    ) -> None:
        ended_at_s = now_s if is_over else 0.0
        self.run = replace(self.run, outcome=outcome, ended_at_s=ended_at_s, error=error)
