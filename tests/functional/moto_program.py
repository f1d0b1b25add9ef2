"""moto's EC2 and S3 on a free port of 127.0.0.1: says its URL, ends with its standard input."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

# It knows 1,300 images of others, and makes them anew each time that it forgets all the rest.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).with_name("moto_images.json"))

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server


class _Dispatcher(DomainDispatcherApplication):
    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """Whose request it is.

        moto looks for four slashes in what a request is signed with, as version 4 has them. One
        signature of version 2 in some thousand has as many in its base64, and names a service
        that nobody knows.
        """
        if environ.get("HTTP_AUTHORIZATION", "").startswith("AWS "):
            return None
        host: str | None = super().infer_service_region_host(environ, path)
        return host


def main() -> None:
    """Serve until the standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    dispatcher = _Dispatcher(create_backend_app)
    # On a busy machine a client does not wait until a service is loaded.
    for service in ("ec2", "s3"):
        dispatcher.app_instances[service] = create_backend_app(service)
    server = make_server(
        "127.0.0.1",
        0,
        dispatcher,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # to take all that it has loaded to pieces takes seconds


if __name__ == "__main__":
    main()
