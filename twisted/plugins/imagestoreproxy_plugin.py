"""Lets ``twist image-store-proxy`` start the daemon."""

from imagestoreproxy.main import service_maker

imageStoreProxy = service_maker  # noqa: N816 - Twisted finds plugins by their interface
