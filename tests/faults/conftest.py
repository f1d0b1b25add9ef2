"""What fault tests share with the functional ones."""

from __future__ import annotations

from tests.functional.conftest import moto_url  # noqa: F401  (a fixture)
