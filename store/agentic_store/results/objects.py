"""Object storage for results that are too large for a row: any S3-compatible store, written and read in streams.

Every key begins with a session's namespace and uid, so sessions never share one, and a session's objects are found
without asking what its row says. The client is imported on first use: most runs have no large result.

The methods block; call them in a thread.
"""

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from agentic_core.errors import AgenticError, PermanentError, TransientError

if TYPE_CHECKING:
    import urllib3
    from minio import Minio

PART_BYTES: Final = 16 * 1024 * 1024
FILES: Final = ("endpoint", "bucket", "access-key", "secret-key")
_OPTIONAL_FILES: Final = ("region", "prefix", "public-endpoint", "ca.crt")
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 60.0
# Limits of other answers than objects, lists and errors, in size and time: a namespace's admin chooses its store.
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
_ANSWER_SECONDS: Final = 60.0
_DELETE_SECONDS: Final = 60.0

# Refusals, by their status, that may pass without anybody changing something.
_PASSING_STATUSES: Final = frozenset({408, 409, 429})
_PASSING_CODES: Final = frozenset(
    {"NoSuchUpload", "QuotaExceeded", "RequestTimeout", "RequestTimeTooSkewed", "SlowDown"}
)


class ObjectStoreError(AgenticError):
    """The object store failed a request."""


class ObjectStoreUnavailable(ObjectStoreError, TransientError):
    """The object store does not answer, is full or overloaded."""


class ObjectStoreRefused(ObjectStoreError, PermanentError):
    """The object store refuses: wrong credentials, no such bucket, no right to write it; or we refuse to trust it."""


class Readable(Protocol):
    """What is uploaded: read until it is empty."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class ObjectStoreConfig:
    """Where the store is and who we are there; the keys appear in no ``repr``."""

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    prefix: str = ""
    public_endpoint: str = ""
    """Where people reach the store, if not at ``endpoint``: for the links that they are given."""
    authority: str = ""
    """The certificates, in PEM, of a private authority."""


def read_object_store(files: Callable[[str], str | None]) -> ObjectStoreConfig:
    """Return the store that a Secret describes; ``files`` returns the text of a key, None if it is missing.

    Raises ``PermanentError`` naming every key that is missing or wrong.
    """
    found = {name: (files(name) or "").strip() for name in (*FILES, *_OPTIONAL_FILES)}
    problems = [f"{name!r} is missing or empty" for name in FILES if not found[name]]
    problems += [
        f"{name!r} is {found[name]!r}: write https://HOST[:PORT], without credentials or a path"
        for name in ("endpoint", "public-endpoint")
        if found[name] and not _is_endpoint(found[name])
    ]
    if found["bucket"] and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", found["bucket"]):
        problems.append(f"'bucket' is {found['bucket']!r}: that is no bucket's name")
    if not re.fullmatch(r"[A-Za-z0-9._/-]*", found["prefix"]) or ".." in found["prefix"]:
        problems.append(f"'prefix' is {found['prefix']!r}: use letters, digits, '.', '_', '-' and '/'")
    if found["ca.crt"] and not _is_authority(found["ca.crt"]):
        problems.append("'ca.crt' holds no certificates: put those of the store's authority there, in PEM")
    if problems:
        raise PermanentError(f"the object store is not described well: {'; '.join(problems)}")
    prefix = found["prefix"].strip("/")
    return ObjectStoreConfig(
        endpoint=found["endpoint"].rstrip("/"),
        bucket=found["bucket"],
        access_key=found["access-key"],
        secret_key=found["secret-key"],
        region=found["region"] or ObjectStoreConfig.region,
        prefix=f"{prefix}/" if prefix else "",
        public_endpoint=found["public-endpoint"].rstrip("/"),
        authority=found["ca.crt"],
    )


def read_object_store_folder(folder: Path) -> ObjectStoreConfig:
    """Return the store that a mounted Secret describes; see :func:`read_object_store`."""

    def read(name: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (folder / name).read_text(encoding="utf-8")
        return None

    try:
        return read_object_store(read)
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"the object store's Secret in {str(folder)!r} cannot be read: {error}") from error
    except PermanentError as error:
        raise PermanentError(f"{error}; these are keys of the Secret that is mounted in {str(folder)!r}") from None


def _is_endpoint(text: str) -> bool:
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        is_bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and is_bare and (parts.port or 1) > 0
    return False


def _is_authority(text: str) -> bool:
    import ssl

    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, TypeError):
        return False
    return True


class ObjectStore:
    """One bucket, for the results of sessions."""

    def __init__(self, config: ObjectStoreConfig) -> None:
        self._config = config

    def key(self, namespace: str, session_uid: str, name: str = "") -> str:
        """Return the key of a session's object; without a name, what all its keys begin with."""
        return f"{self._config.prefix}{namespace}/{session_uid}/{name}"

    def url(self, key: str) -> str:
        """Return the address of an object, for people and programs that have credentials of their own."""
        return f"s3://{self._config.bucket}/{key}"

    def put(self, key: str, data: Readable) -> None:
        """Upload a stream in parts, holding one part at a time.

        Where the stream raises or a part fails, nothing is left of the upload but what a lost connection makes
        impossible to remove; :meth:`abort_uploads` removes that.
        """
        with self._translated():
            self._client.put_object(
                self._config.bucket,
                key,
                data,  # type: ignore[arg-type]  # it asks for BinaryIO and calls `read`
                length=-1,
                part_size=PART_BYTES,
                num_parallel_uploads=1,
                content_type="application/json",
            )

    def presign(self, key: str, *, seconds: int) -> str:
        """Return a link with which anybody reads the object for so many seconds; the store is not asked."""
        client = self._connect(self._config.public_endpoint) if self._config.public_endpoint else self._client
        with self._translated():
            return client.presigned_get_object(self._config.bucket, key, expires=timedelta(seconds=seconds))

    def abort_uploads(self, prefix: str) -> int:
        """Remove unfinished uploads; return their number."""
        count = 0
        with self._translated():
            # The client has these two for its own use alone. Its public ones go back to neither.
            found = self._client._list_multipart_uploads(self._config.bucket, prefix=prefix)  # noqa: SLF001
            for upload in found.uploads:
                if upload.object_name.startswith(prefix):
                    self._client._abort_multipart_upload(  # noqa: SLF001
                        self._config.bucket, upload.object_name, upload.upload_id or ""
                    )
                    count += 1
        return count

    def delete(self, prefix: str, *, keep: str = "") -> int:
        """Delete every object and unfinished upload whose key begins with ``prefix``; return how many objects.

        The object ``keep`` stays. What is left after a minute is left to another call (``ObjectStoreUnavailable``): a
        server could list without end.
        """
        if not prefix.endswith("/"):
            raise ValueError(f"{prefix!r} could be the beginning of another session's keys: end it with a slash")
        self.abort_uploads(prefix)
        count, until = 0, time.monotonic() + _DELETE_SECONDS
        with self._translated():
            for found in self._client.list_objects(self._config.bucket, prefix=prefix, recursive=True):
                if time.monotonic() > until:
                    raise TimeoutError(f"more than can be removed in {_DELETE_SECONDS:g} s")
                if found.object_name and found.object_name != keep:
                    self._client.remove_object(self._config.bucket, found.object_name)
                    count += 1
        return count

    @cached_property
    def _client(self) -> "Minio":
        return self._connect(self._config.endpoint)

    def _connect(self, endpoint: str) -> "Minio":
        import urllib3
        from minio import Minio

        parts = urlsplit(endpoint)
        trust: dict[str, Any] = {}
        if parts.scheme == "https":
            import ssl

            trust["ssl_context"] = ssl.create_default_context(cadata=self._config.authority or None)
        pool = _build_bounded_pool()(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            # Whoever calls tries again, with its own patience.
            retries=urllib3.Retry(total=1, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
            **trust,
        )
        return Minio(
            parts.netloc,
            access_key=self._config.access_key,
            secret_key=self._config.secret_key,
            region=self._config.region,
            secure=parts.scheme == "https",
            http_client=pool,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        try:
            yield
        except S3Error as error:
            said = f"{error.code}: {error.message}" if error.message else str(error.code)
            where = f"bucket {self._config.bucket!r} at {self._config.endpoint}"
            status = error.response.status
            if 400 <= status < 500 and status not in _PASSING_STATUSES and error.code not in _PASSING_CODES:
                raise ObjectStoreRefused(
                    f"the object store refuses {where} ({said}): check the Secret with its credentials, and the bucket"
                ) from error
            raise ObjectStoreUnavailable(f"the object store failed on {where} ({said})") from error
        except (HTTPError, MinioException, OSError) as error:
            if distrust := _find_distrust(error):
                raise ObjectStoreRefused(
                    f"the object store at {self._config.endpoint} cannot be trusted ({distrust}): check its"
                    " certificate, and 'ca.crt' and 'endpoint' in its Secret"
                ) from error
            raise ObjectStoreUnavailable(
                f"the object store at {self._config.endpoint} does not answer: {_describe(error)}"
            ) from error


@functools.cache
def _build_bounded_pool() -> "type[urllib3.PoolManager]":
    """Return a pool that bounds answers in size and time, except for streamed objects."""
    import urllib3

    class BoundedPool(urllib3.PoolManager):
        def urlopen(  # type: ignore[override]  # as it is called by the client of the store
            self, method: str, url: str, redirect: bool = True, **options: Any
        ) -> urllib3.BaseHTTPResponse:
            is_whole = options.pop("preload_content", True)
            answer = super().urlopen(method, url, redirect=redirect, preload_content=False, **options)
            return _read_whole(answer, method, url) if is_whole else answer

    return BoundedPool


def _read_whole(answer: "urllib3.BaseHTTPResponse", method: str, url: str) -> "urllib3.BaseHTTPResponse":
    import urllib3

    parts, size, until = [], 0, time.monotonic() + _ANSWER_SECONDS
    while part := answer.read1(65536) if method != "HEAD" else b"":
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES or time.monotonic() > until:
            answer.close()
            raise TimeoutError(f"an answer of more than {MAX_ANSWER_BYTES} bytes or {_ANSWER_SECONDS:g} s")
    answer.release_conn()
    return urllib3.HTTPResponse(
        body=b"".join(parts),
        headers=answer.headers,
        status=answer.status,
        reason=answer.reason,
        version=answer.version,
        decode_content=False,
        request_method=method,
        request_url=url,
    )


def _find_distrust(error: BaseException | None) -> str:
    """Return why a certificate was not trusted; empty for other errors."""
    import ssl

    while isinstance(error, BaseException):
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        inner = (getattr(error, "reason", None), *error.args)
        error = next((one for one in inner if isinstance(one, BaseException)), None)
    return ""


def _describe(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    text = str(reason) if isinstance(reason, BaseException) else str(error)
    return text or type(error).__name__
