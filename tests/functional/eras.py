"""What Eucalyptus of each age checks and answers, before moto's S3: signatures and requests.

Written after the sources of Eucalyptus 1.6.1, 2.0.1, 3.0 to 3.4, 4.0 to 4.4: what is signed and
how, which parameters are known, and in which form a refusal is told.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.functional.interceptor import Answer, Request

SECURITY = {
    "AWSAccessKeyId",
    "SignatureVersion",
    "SignatureMethod",
    "Timestamp",
    "Version",
    "Action",
    "SecurityToken",
}
LISTINGS = {"prefix", "maxkeys", "max-keys", "marker", "delimiter"}
AN_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True)
class Era:
    """One age of the cloud.

    Args:
        ec2, s3: versions of signatures that the two services take.
        ec2_path, s3_path: of their endpoints.
        s3_signs: whether the service's path is in what S3 checks: as it was sent, or either way.
        told: in which form a refusal comes.
        register: parameters that RegisterImage knows beside the location.
        needs_both: whether a paravirtual image has to name kernel and ramdisk.
    """

    name: str
    ec2: frozenset[int]
    s3: frozenset[int]
    ec2_path: str = "/services/Eucalyptus"
    s3_path: str = "/services/Walrus"
    s3_signs: str = "either"
    told: str = "xml"
    register: frozenset[str] = frozenset(
        {"Name", "Description", "Architecture", "KernelId", "RamdiskId", "VirtualizationType"}
    )
    filters: bool = True
    replays: bool = False
    needs_both: bool = False
    encoded_listings: bool = True


OLD, BOTH = frozenset({2}), frozenset({2, 4})
NO_HVM = Era.register - {"VirtualizationType"}
ERAS = [
    Era(
        "1.6",
        OLD,
        OLD,
        s3_signs="sent",
        told="status",
        register=frozenset(),
        filters=False,
        encoded_listings=False,
    ),
    Era(
        "2.0",
        OLD,
        OLD,
        s3_signs="sent",
        told="text",
        register=NO_HVM,
        filters=False,
        replays=True,
        encoded_listings=False,
    ),
    Era("3.1", OLD, OLD, s3_signs="sent", register=NO_HVM, filters=False, replays=True),
    Era("3.4", OLD, OLD, replays=True),
    Era(
        "4.0",
        BOTH,
        OLD,
        "/services/compute",
        "/services/objectstorage",
        replays=True,
        needs_both=True,
    ),
    Era("5.1", BOTH, BOTH, "/services/compute", "/services/objectstorage", needs_both=True),
]


class Refusal(Exception):  # noqa: N818
    """Raised while a request is looked at."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Cloud:
    """The cloud of an era: a rule for an interceptor before moto, which keeps the objects.

    Args:
        moto: its URL.
        secret: of the one user.
        strips: whether something before it takes the path of each service away.
    """

    era: Era
    moto: str
    secret: str
    is_administrator: bool = True
    strips: bool = False
    max_image_bytes: int = 30 << 30
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    manners: set[str] = field(default_factory=set)

    def __call__(self, request: Request) -> Answer | None:
        is_s3 = request.path.startswith(self.era.s3_path)
        if not is_s3 and not request.path.startswith(self.era.ec2_path):
            return self._told(Refusal(404, "Not Found", "No such service"), is_s3=False)
        try:
            if is_s3:
                self._check_s3(request)
                request.headers["authorization"] = AN_AUTHORIZATION
                return None
            return self._ec2(request)
        except Refusal as refusal:
            return self._told(refusal, is_s3=is_s3)

    def _told(self, refusal: Refusal, *, is_s3: bool) -> Answer:
        status = f"{refusal.status} {refusal.reason}"
        if self.era.told == "status":
            return Answer(refusal.status, "" if is_s3 else f"Failure: {status}\r\n")
        if self.era.told == "text":
            return Answer(refusal.status, f"Failure: {status}\r\n{refusal.message}")
        text = f"<Error><Code>{status}</Code><Message>{escape(refusal.message)}</Message></Error>"
        if not is_s3:
            text = f"<Response><Errors>{text}</Errors><RequestID>r</RequestID></Response>"
        return Answer(refusal.status, text, {"content-type": "text/plain"})

    def _shown_path(self, path: str) -> str:
        if self.strips:
            for own in (self.era.s3_path, self.era.ec2_path):
                path = path.removeprefix(own) or "/"
        return path

    def _check_s3(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        path, _, query = self._shown_path(request.path).partition("?")
        if given.startswith("AWS4-"):
            if 4 not in self.era.s3:
                raise Refusal(500, "Internal Server Error", "Unable to parse date.")
            self._check_v4(request, path, query, given)
        elif given.startswith("AWS "):
            self._check_s3_v2(request, path, given.removeprefix("AWS testing:"))
        else:
            raise Refusal(403, "Forbidden", "Anonymous")
        if request.method == "GET" and not self.era.encoded_listings and query:
            # Older ones tell operations by the first parameter.
            first = query.split("&")[0].partition("=")[0]
            if first not in LISTINGS:
                raise Refusal(500, "Internal Server Error", "Could not determine operation name")

    def _check_s3_v2(self, request: Request, path: str, signature: str) -> None:
        headers = request.headers
        amz = "".join(
            f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name[:6] == "x-amz-"
        )
        paths = {path}
        if self.era.s3_signs == "either":
            paths.add(path.removeprefix(self.era.s3_path) or "/")
        names = ("content-md5", "content-type", "date")
        start = "\n".join([request.method, *(headers.get(name, "") for name in names)])
        if signature not in {self._hmac(f"{start}\n{amz}{one}", "sha1") for one in paths}:
            raise Refusal(403, "Forbidden", "User authentication failed.")
        self.manners.add("s3 2")

    def _check_v4(self, request: Request, path: str, query: str, given: str) -> None:
        parts = dict(re.findall(r"(\w+)=([^, ]+)", given))
        _, date, region, service, end = parts["Credential"].split("/")
        headers = request.headers
        listed = "".join(
            f"{name}:{headers[name].strip()}\n" for name in parts["SignedHeaders"].split(";")
        )
        body = headers.get("x-amz-content-sha256") or hashlib.sha256(request.body()).hexdigest()
        pairs = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}"
            for name, value in sorted(parse_qsl(query, keep_blank_values=True))
        )
        paths = {unquote(path)} | ({"/"} if service == "ec2" else set())
        key = b"AWS4" + self.secret.encode()
        for one in (date, region, service, end):
            key = hmac.digest(key, one.encode(), "sha256")
        for one in paths:
            canonical = "\n".join(
                [request.method, one, pairs, listed, parts["SignedHeaders"], body]
            )
            told = hashlib.sha256(canonical.encode()).hexdigest()
            text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{date}/{region}/{service}/{end}\n"
            expected = hmac.digest(key, (text + told).encode(), "sha256").hex()
            if expected == parts["Signature"]:
                self.manners.add(f"{service} 4")
                return
        raise Refusal(403, "Forbidden", "User authentication failed.")

    def _hmac(self, text: str, kind: str) -> str:
        return base64.b64encode(hmac.digest(self.secret.encode(), text.encode(), kind)).decode()

    def _ec2(self, request: Request) -> Answer:
        parameters = dict(parse_qsl(request.body().decode(), keep_blank_values=True))
        path = self._shown_path(request.path)
        if "SignatureVersion" not in parameters:
            if 4 not in self.era.ec2:
                raise Refusal(500, "Internal Server Error", "No pipeline")
            self._check_v4(request, path, "", request.headers.get("authorization", ""))
        else:
            self._check_query(request, path, parameters)
        action = parameters["Action"]
        own = {name: value for name, value in parameters.items() if name not in SECURITY}
        does: dict[str, Callable[[dict[str, str]], str]] = {
            "DescribeImages": self._describe,
            "RegisterImage": self._register,
            "DeregisterImage": self._deregister,
            "DescribeInstances": self._instances,
        }
        return Answer(200, does[action](own), {"content-type": "application/xml"})

    def _check_query(self, request: Request, path: str, parameters: dict[str, str]) -> None:
        signature = parameters.pop("Signature")
        query = "&".join(
            f"{encoded(name)}={encoded(parameters[name])}" for name in sorted(parameters)
        )
        host = request.headers["host"]
        hosts = {host, host.partition(":")[0]}
        texts = {f"{request.method}\n{one}\n{path}\n{query}" for one in hosts}
        if signature not in {self._hmac(text, "sha256") for text in texts}:
            raise Refusal(403, "Forbidden", "User authentication failed.")
        if self.era.replays and signature in self.seen:
            raise Refusal(403, "Forbidden", "Message replay detected.  Same signature was used")
        self.seen.add(signature)
        self.manners.add("ec2 2")

    def _bind(self, parameters: dict[str, str], known: set[str]) -> None:
        unknown = {n for n in parameters if re.sub(r"\..*", "", n) not in known}
        if unknown:
            what = "\n".join(f"{name} = {parameters[name]}" for name in unknown)
            reason = "Precondition Failed" if self.era.told == "xml" else "Bad Request"
            status = 412 if self.era.told == "xml" else 400
            raise Refusal(status, reason, f"Failed to bind the following fields:\n{what}")

    def _describe(self, parameters: dict[str, str]) -> str:
        known = {"ImageId", "Owner", "ExecutableBy", *(["Filter"] if self.era.filters else [])}
        self._bind(parameters, known)
        wanted = {value for name, value in parameters.items() if name.startswith("ImageId")}
        items = "".join(
            "<item>"
            + "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in image.items() if text)
            + "</item>"
            for name, image in self.images.items()
            if not wanted or name in wanted
        )
        return (
            '<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2009-04-04/">'
            f"<requestId>r</requestId><imagesSet>{items}</imagesSet></DescribeImagesResponse>"
        )

    def _register(self, parameters: dict[str, str]) -> str:
        self._bind(parameters, {"ImageLocation", *self.era.register})
        location = parameters["ImageLocation"]
        manifest = self._manifest(location)
        inside = {
            tag: (re.search(f"<{tag}>(.*?)</{tag}>", manifest) or ["", ""])[1]
            for tag in ("kernel_id", "ramdisk_id", "architecture", "size", "type")
        }
        if int(inside["size"]) > self.max_image_bytes:
            raise Refusal(
                400,
                "Bad Request",
                f"Cannot register image of size {inside['size']} bytes because it exceeds the "
                "configured maximum instance-store image size of 30 GB.",
            )
        prefix = "emi"
        for kind, start, short in (("kernel", "vmlinuz", "eki"), ("ramdisk", "initrd", "eri")):
            is_one = inside[f"{kind}_id"] == "true" or location.split("/")[1].startswith(start)
            if is_one and not self.is_administrator:
                raise Refusal(
                    400, "Bad Request", f"Only administrators can register {kind} images."
                )
            prefix = short if is_one else prefix
        # Before 3.0 only the manifest counts.
        kernel = parameters.get("KernelId") or inside["kernel_id"]
        ramdisk = parameters.get("RamdiskId") or inside["ramdisk_id"]
        is_hvm = parameters.get("VirtualizationType") == "hvm"
        if self.era.needs_both and prefix == "emi" and not is_hvm and not (kernel and ramdisk):
            raise Refusal(400, "MissingParameter", "Ramdisk ID must be specified")
        image_id = f"{prefix}-{len(self.images) + 1:08X}"
        self.images[image_id] = {
            "imageId": image_id,
            "imageLocation": location,
            "imageState": "available",
            "name": parameters.get("Name", ""),
            "kernelId": kernel if prefix == "emi" else "",
            "ramdiskId": ramdisk if prefix == "emi" else "",
            "virtualizationType": parameters.get("VirtualizationType", ""),
        }
        return (
            "<RegisterImageResponse><requestId>r</requestId>"
            f"<imageId>{image_id}</imageId></RegisterImageResponse>"
        )

    def _manifest(self, location: str) -> str:
        connection = HTTPConnection(urlsplit(self.moto).netloc, timeout=30)
        connection.request("GET", f"/{location}", headers={"authorization": AN_AUTHORIZATION})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200 or location.count("/") != 1:
            raise Refusal(400, "Bad Request", "Failed to read manifest file")
        return text

    def _deregister(self, parameters: dict[str, str]) -> str:
        self._bind(parameters, {"ImageId"})
        self.images.pop(parameters["ImageId"], None)
        return "<DeregisterImageResponse><return>true</return></DeregisterImageResponse>"

    def _instances(self, parameters: dict[str, str]) -> str:
        self._bind(parameters, {"InstanceId", *(["Filter"] if self.era.filters else [])})
        return (
            "<DescribeInstancesResponse><requestId>r</requestId><reservationSet>"
            "<item><instancesSet><item><instanceId>i-1</instanceId><imageId>emi-1</imageId>"
            "<instanceState><name>running</name></instanceState></item></instancesSet></item>"
            "</reservationSet></DescribeInstancesResponse>"
        )


def encoded(text: str) -> str:
    """Encode as Java's ``URLCodec`` does, but for spaces: these are tried in both ways."""
    return quote(text, safe="*").replace("~", "%7E")
