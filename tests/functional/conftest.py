"""Fixtures that several files of functional tests share."""

from tests.functional.ec2_ground import between, complete, credentials, moto

__all__ = ["between", "complete", "credentials", "moto"]
