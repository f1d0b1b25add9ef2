"""What the answers of S3 and EC2 mean, by their codes and words, in one plain sentence each."""

from __future__ import annotations

import re

# The same request may be taken in a moment.
PASSING = frozenset(
    {
        "BadDigest",
        "BandwidthLimitExceeded",
        "InternalError",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "Unavailable",
    }
)
# The clocks differ: no other signature would be taken.
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
# It does not know the keys, or not these any more.
UNKNOWN_KEYS = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"}
)
# So it may be, or a clock is wrong.
REFUSED_SIGNATURE = frozenset({"AuthFailure", "SignatureDoesNotMatch"})
UNTAKEN = re.compile(r"authentication failed|validate the provided signature", re.IGNORECASE)
# What an answer means, by its code; the first row that has the code counts.
MEANINGS: tuple[tuple[frozenset[str], str], ...] = (
    (
        SKEWED,
        "the clocks differ{difference}; set the clock by NTP ({code})",
    ),
    (
        frozenset({"SignatureDoesNotMatch"}),
        "the signature does not match{difference}; check the secret key, the clock, and that "
        "{setting} is the address the cloud knows itself by ({code})",
    ),
    (
        frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "AuthFailure"}),
        "the cloud does not take the access key; get new credentials ({code})",
    ),
    (
        frozenset({"ExpiredToken", "InvalidToken"}),
        "the session token has expired; get new credentials ({code})",
    ),
    (
        frozenset({"AccessDenied", "UnauthorizedOperation", "Forbidden", "403", "401"}),
        "access denied; the user of these credentials needs the right to do this, for kernels and "
        "ramdisks that of a cloud administrator ({code})",
    ),
    (
        frozenset({"NoSuchBucket"}),
        "the bucket is gone; something else has removed it ({code})",
    ),
    (
        frozenset(
            {
                "AuthorizationHeaderMalformed",
                "IllegalLocationConstraintException",
                "PermanentRedirect",
                "TemporaryRedirect",
            }
        ),
        "it is another region's{place}; set {setting} and --region to that one ({code})",
    ),
    (PASSING, "it is overloaded or broken ({code}: {message})"),
)
# What Eucalyptus says in words only; its codes are HTTP statuses, or the name of the request.
SAID: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"Only administrators can register (kernel|ramdisk)"),
        "only a cloud administrator may register kernels and ramdisks, as this image brings them; "
        "use the credentials of one, such as admin of the account eucalyptus ({message})",
    ),
    (
        re.compile(r"exceeds the configured maximum .*image size"),
        "the image is larger than the cloud takes; raise cloud.images.max_image_size_gb there, and "
        "tell the proxy the same with --cloud-max-image-size ({message})",
    ),
    (
        re.compile(r"(Kernel|Ramdisk) ID must be specified"),
        "it takes a paravirtual image only with kernel and ramdisk, which this one does not bring; "
        "say so with --cloud-needs-ramdisk, and such images are not offered ({message})",
    ),
    (
        re.compile(r"replay detected"),
        "it takes the request for one that it has seen already; try again ({message})",
    ),
    (
        UNTAKEN,
        "it does not take the signature{difference}; check the keys, the clock, and that {setting} "
        "is the address the cloud knows itself by ({message})",
    ),
)
NOT_BOUND = re.compile(r"Failed to bind the following fields")
# Clouds have many names for their limits.
LIMITS = re.compile(
    r"Quota|LimitExceeded|^TooMany|^Insufficient|^EntityTooLarge$|^MaxMessageLength"
)
# What a service may say to a signature that it does not know: each has its own words.
SIGNATURE = re.compile(
    r"Auth|Signature|AccessKey|ClientToken|Security|Denied|Forbidden|Unauthorized|Malformed"
    r"|^Invalid(Request|Argument)$|^MissingParameter$|^NotImplemented$|^Internal"
)
STATUS = re.compile(r"[0-9]{3}\b")
LIMIT_REACHED = "a limit of the cloud is reached; raise it or make room ({code}: {message})"
