"""Whose state has changed since somebody last looked."""

from __future__ import annotations

from collections.abc import Sequence

from imagestoreproxy.model.installs import ImageState
from imagestoreproxy.shop import Store


class Changes:
    """Compares the states of all that is installed, under way or in error with those seen before.

    Cheap while nothing happens: only what is under way is looked at, the rest when the store has
    another revision.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, ImageState] = {}
        self._moving: set[str] = set()
        self._revision: int | None = None

    def since(self, *, progress: bool) -> Sequence[ImageState]:
        """Give the states that are not as they were given before; at first, all there are.

        Args:
            progress: give also those that have only come further; without it they wait.
        """
        asked = self._moving
        revision = self._store.revision
        if revision != self._revision:
            asked = {*asked, *self._seen, *self._store.installed()}
        # What is not asked for is given all the same, if it is under way or has an error.
        states = self._store.states(sorted(asked)).states
        self._revision = revision
        moving = set(self._store.under_way())
        changed, waiting = [], set()
        for state in states:
            seen = self._seen.get(state.image_uri)
            if seen == state:
                continue
            if seen is None or progress or _what_counts(seen) != _what_counts(state):
                changed.append(state)
            else:
                waiting.add(state.image_uri)
        self._remember(changed, moving)
        self._moving = moving | waiting
        return changed

    def _remember(self, changed: Sequence[ImageState], moving: set[str]) -> None:
        if not changed:
            return
        stay = moving.union(self._store.installed())
        for state in changed:
            if state.image_uri in stay or state.error_message:
                self._seen[state.image_uri] = state
            else:
                self._seen.pop(state.image_uri, None)


def _what_counts(state: ImageState) -> object:
    """Give what users wait for; all but how far it is, and when that was written down."""
    step = state.progress.step if state.progress else None
    return (state.status, step, state.actions, state.error_message, state.is_upgrade)
