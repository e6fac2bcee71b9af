"""The Secret that describes an object store: what is missing or wrong is named, and its keys are shown nowhere."""

from pathlib import Path

import pytest

from agentic_core.errors import PermanentError
from agentic_store.results.objects import ObjectStore, read_object_store, read_object_store_folder

GOOD = {"endpoint": "https://s3.example:9000/", "bucket": "results", "access-key": "AK\n", "secret-key": "hidden"}


def test_a_store_is_read_from_its_secret() -> None:
    config = read_object_store({**GOOD, "prefix": "/prod/", "public-endpoint": "https://files.example"}.get)
    assert (config.endpoint, config.access_key, config.region) == ("https://s3.example:9000", "AK", "us-east-1")
    assert config.public_endpoint == "https://files.example"
    assert ObjectStore(config).key("team-a", "uid-1", "r.json") == "prod/team-a/uid-1/r.json"
    assert "hidden" not in repr(config)
    assert "AK" not in repr(config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"bucket": ""}, "'bucket' is missing or empty", id="nothing in a key"),
        pytest.param({"endpoint": "s3.example"}, "'endpoint' is 's3.example': write https://", id="no scheme"),
        pytest.param({"endpoint": "https://me:pw@s3.example"}, "without credentials", id="credentials in the address"),
        pytest.param({"endpoint": "https://s3.example/bucket"}, "or a path", id="a path"),
        pytest.param({"bucket": "Results"}, "no bucket's name", id="a bucket's name"),
        pytest.param({"prefix": "../other"}, "'prefix' is", id="a prefix that climbs"),
        pytest.param({"ca.crt": "no certificate"}, "'ca.crt' holds no certificates", id="no certificate"),
        pytest.param({"ca.crt": "gr\u00f6\u00dfer"}, "'ca.crt' holds no certificates", id="no ASCII"),
        pytest.param(
            {"ca.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
            "'ca.crt' holds no certificates",
            id="a broken certificate",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], expected: str) -> None:
    with pytest.raises(PermanentError, match=expected):
        read_object_store({**GOOD, **changes}.get)


def test_all_that_is_missing_is_named_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as error:
        read_object_store_folder(tmp_path)
    for word in ("endpoint", "bucket", "access-key", "secret-key", str(tmp_path)):
        assert word in str(error.value)


def test_sessions_of_two_namespaces_never_share_a_key() -> None:
    store = ObjectStore(read_object_store(GOOD.get))
    assert store.key("a", "b") != store.key("a-b", "")
    with pytest.raises(ValueError, match="end it with a slash"):
        store.delete(store.key("team-a", "uid").rstrip("/"))
