"""The object store against a real S3 server: streams in parts, links, and what is left when something breaks."""

import hashlib
import io
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentic_store.results.objects import (
    PART_BYTES,
    ObjectStore,
    ObjectStoreRefused,
    ObjectStoreUnavailable,
    read_object_store_folder,
)
from hack.cluster.certificates import Authority
from tests.support.objects import SECRET_KEY, Bucket, ObjectServer, make_bucket
from tests.support.waiting import PATIENCE_SECONDS

DATA = b"0123456789abcdef" * (PART_BYTES // 16 * 2) + b"the end"


class Breaking(io.BytesIO):
    """A stream that breaks after its first part."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > PART_BYTES:
            raise LookupError("the stream broke")
        return super().read(size)


def test_an_object_is_written_in_parts_and_read_by_a_link_alone(bucket: Bucket) -> None:
    store = bucket.store
    key = store.key("team-a", "uid-1", "result.json")
    store.put(key, io.BytesIO(DATA))
    assert bucket.keys == ["team-a/uid-1/result.json"]
    assert store.url(key) == f"s3://{bucket.config.bucket}/team-a/uid-1/result.json"
    link = store.presign(key, seconds=60)
    with urllib.request.urlopen(link, timeout=PATIENCE_SECONDS) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == hashlib.sha256(DATA).hexdigest()
    assert SECRET_KEY not in link
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(link.replace("result.json", "other.json"), timeout=PATIENCE_SECONDS)


def test_a_stream_that_breaks_leaves_nothing(bucket: Bucket) -> None:
    with pytest.raises(LookupError, match="the stream broke"):
        bucket.store.put("team-a/uid-1/result.json", Breaking(DATA))
    assert bucket.keys == []
    assert bucket.uploads == 0


def test_what_a_killed_writer_left_is_removed_with_the_session_and_nothing_else(bucket: Bucket) -> None:
    store = bucket.store
    for uid in ("uid-1", "uid-12", "uid-2"):
        store.put(store.key("team-a", uid, "result.json"), io.BytesIO(b"{}"))
        store._client._create_multipart_upload(bucket.config.bucket, store.key("team-a", uid, "r.json"), {})
    assert store.delete(store.key("team-a", "uid-1")) == 1
    assert bucket.keys == ["team-a/uid-12/result.json", "team-a/uid-2/result.json"]
    assert bucket.uploads == 2
    assert store.delete(store.key("team-a", "uid-1")) == 0
    with pytest.raises(ValueError, match="end it with a slash"):
        store.delete("team-a/uid-1")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"secret_key": "wrong"}, "SignatureDoesNotMatch", id="wrong secret key"),
        pytest.param({"access_key": "nobody"}, "No user exists with the provided access key", id="unknown access key"),
        pytest.param({"bucket": "no-such-bucket"}, "NoSuchBucket", id="missing bucket"),
    ],
)
def test_what_somebody_has_to_change_is_refused_with_the_reason(
    bucket: Bucket, changes: dict[str, str], expected: str
) -> None:
    store = ObjectStore(replace(bucket.config, **changes))
    with pytest.raises(ObjectStoreRefused, match=expected) as refused:
        store.put("team-a/uid-1/result.json", io.BytesIO(DATA))
    assert SECRET_KEY not in str(refused.value)


def test_a_server_that_is_away_is_a_passing_fault(bucket: Bucket) -> None:
    store = ObjectStore(replace(bucket.config, endpoint="http://127.0.0.1:9"))
    with pytest.raises(ObjectStoreUnavailable, match="does not answer"):
        store.put("team-a/uid-1/result.json", io.BytesIO(DATA))


def test_a_server_killed_in_the_middle_takes_the_object_again_when_it_is_back(bucket: Bucket) -> None:
    store, server = bucket.store, bucket.server

    class Killing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > PART_BYTES:
                server.kill()
            return super().read(size)

    try:
        with pytest.raises(ObjectStoreUnavailable):
            store.put("team-a/uid-1/result.json", Killing(DATA))
    finally:
        server.start()
    assert bucket.keys == []
    assert bucket.uploads == 1
    assert store.abort_uploads("team-a/uid-1/") == 1
    store.put("team-a/uid-1/result.json", io.BytesIO(DATA))
    assert (bucket.folder / "team-a/uid-1/result.json").read_bytes() == DATA
    assert bucket.uploads == 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that no machine knows."""
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.create()
    return made


@pytest.fixture(scope="module")
def private(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket on a server with a certificate of that authority, for the address 127.0.0.1 alone."""
    server = ObjectServer(tmp_path_factory.mktemp("private"), authority=authority)
    server.start()
    try:
        yield make_bucket(server)
    finally:
        server.kill()


def test_a_store_of_a_private_authority_is_trusted_by_the_secret(private: Bucket, tmp_path: Path) -> None:
    store = ObjectStore(read_object_store_folder(private.write_secret(tmp_path)))
    key = store.key("team-a", "uid-1", "result.json")
    store.put(key, io.BytesIO(DATA))
    assert (private.folder / key).read_bytes() == DATA
    trusting = ssl.create_default_context(cadata=private.config.authority)
    with urllib.request.urlopen(store.presign(key, seconds=60), timeout=PATIENCE_SECONDS, context=trusting) as answer:
        assert answer.read() == DATA
    assert store.delete(store.key("team-a", "uid-1")) == 1


def test_a_store_that_cannot_be_trusted_is_refused_with_the_reason(private: Bucket, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)
    stranger.create()
    for changes, reason in (
        ({"authority": ""}, "unable to get local issuer certificate"),
        ({"authority": stranger.pair.certificate.read_text()}, "certificate"),
        ({"endpoint": private.config.endpoint.replace("127.0.0.1", "localhost")}, "not valid for 'localhost'"),
    ):
        store = ObjectStore(replace(private.config, **changes))
        with pytest.raises(ObjectStoreRefused, match=rf"cannot be trusted \(.*{reason}.*\): check .* 'ca.crt'"):
            store.put("team-a/uid-2/result.json", io.BytesIO(DATA))
        with pytest.raises(ObjectStoreRefused, match="cannot be trusted"):
            store.delete("team-a/uid-2/")
    assert not [key for key in private.keys if "uid-2" in key]


def test_a_server_that_speaks_no_tls_is_a_passing_fault(bucket: Bucket) -> None:
    store = ObjectStore(replace(bucket.config, endpoint=bucket.config.endpoint.replace("http:", "https:")))
    with pytest.raises(ObjectStoreUnavailable, match="does not answer"):
        store.put("team-a/uid-1/result.json", io.BytesIO(DATA))


def test_a_mounted_secret_is_read(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = bucket.write_secret(tmp_path_factory.mktemp("secret"))
    assert read_object_store_folder(folder) == bucket.config
