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
        self._moving = set(self._store.under_way())
        changed = [state for state in states if self._differs(state, progress=progress)]
        self._seen.update({state.image_uri: state for state in changed})
        if changed:
            stay = self._moving.union(self._store.installed())
            for state in changed:
                if state.image_uri not in stay and not state.error_message:
                    del self._seen[state.image_uri]
        return changed

    def _differs(self, state: ImageState, *, progress: bool) -> bool:
        seen = self._seen.get(state.image_uri)
        if seen is None or seen == state:
            return seen is None
        return progress or _what_counts(seen) != _what_counts(state)


def _what_counts(state: ImageState) -> object:
    """Give what users wait for; all but how far it is, and when that was written down."""
    step = state.progress.step if state.progress else None
    return (state.status, step, state.actions, state.error_message, state.is_upgrade)
