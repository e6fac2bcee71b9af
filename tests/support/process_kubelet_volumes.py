"""What a pod finds when it starts, as files and variables of a local process: volumes, Secrets, tokens, environment."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.apiclient import ApiClient, ApiError, Json, core_path


class NotReady(Exception):
    """Something that the pod refers to is not there (yet); ``reason`` is what a container's state would say."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Furnished:
    """Where the container's paths are on this machine, and its environment with those paths."""

    environment: Mapping[str, str]
    mounts: Mapping[str, Path]


async def furnish(client: ApiClient, pod: Json, folder: Path, claims: Path, init: Json | None = None) -> Furnished:
    """Make the volumes of the pod's container, or of an init container, in ``folder`` and read its variables.

    Raises :class:`NotReady`.
    """
    namespace = pod["metadata"]["namespace"]
    sources = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    containers = pod["spec"]["containers"]
    container = init or next((each for each in containers if each["name"] == "runner"), containers[0])
    mounts: dict[str, Path] = {}
    for mount in container.get("volumeMounts") or ():
        volume = sources[mount["name"]]
        if "persistentVolumeClaim" in volume:
            path = claims / namespace / volume["persistentVolumeClaim"]["claimName"]
        else:
            path = folder / "volumes" / mount["name"]
        path.mkdir(parents=True, exist_ok=True)
        await _fill(client, pod, volume, path)
        mounts[mount["mountPath"]] = path
    try:
        variables = await _variables(client, namespace, container)
    except NotReady as missing:
        raise NotReady("CreateContainerConfigError", str(missing)) from missing
    return Furnished({name: _moved(value, mounts) for name, value in variables.items()}, mounts)


def _moved(value: str, mounts: Mapping[str, Path]) -> str:
    """Return a path, or several of them, as they are outside of the container."""
    return ":".join(_move(part, mounts) for part in value.split(":"))


def _move(value: str, mounts: Mapping[str, Path]) -> str:
    for inside in sorted(mounts, key=len, reverse=True):
        if value == inside or value.startswith(f"{inside}/"):
            return f"{mounts[inside]}{value[len(inside) :]}"
    return value


async def _fill(client: ApiClient, pod: Json, volume: Json, path: Path) -> None:
    namespace = pod["metadata"]["namespace"]
    if "secret" in volume:
        await _put_keys(client, namespace, "secrets", volume["secret"]["secretName"], volume["secret"], path)
    elif "configMap" in volume:
        await _put_keys(client, namespace, "configmaps", volume["configMap"]["name"], volume["configMap"], path)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            token = await _request_token(client, pod, source["serviceAccountToken"])
            _write(path / source["serviceAccountToken"]["path"], token.encode())
        elif "configMap" in source:
            await _put_keys(client, namespace, "configmaps", source["configMap"]["name"], source["configMap"], path)
        elif "secret" in source:
            await _put_keys(client, namespace, "secrets", source["secret"]["name"], source["secret"], path)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            key = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
            _write(path / item["path"], pod["metadata"]["annotations"][key].encode())


async def _request_token(client: ApiClient, pod: Json, wanted: Json) -> str:
    meta = pod["metadata"]
    account = pod["spec"].get("serviceAccountName") or "default"
    path = core_path(meta["namespace"], "serviceaccounts", account, "token")
    spec: Json = {
        "expirationSeconds": wanted.get("expirationSeconds") or 3600,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
    }
    if wanted.get("audience"):
        spec["audiences"] = [wanted["audience"]]
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    try:
        return str((await client.create(path, request))["status"]["token"])
    except ApiError as error:
        raise NotReady("ContainerCreating", f"no token for the pod: {error}") from error


async def _put_keys(client: ApiClient, namespace: str, plural: str, name: str, volume: Json, path: Path) -> None:
    values = await _read(client, namespace, plural, name, is_optional=bool(volume.get("optional")))
    items: Sequence[Json] = volume.get("items") or [{"key": key, "path": key} for key in values]
    for item in items:
        if item["key"] not in values:
            raise NotReady("ContainerCreating", f"{plural} {name!r} has no key {item['key']!r}")
        _write(path / item["path"], values[item["key"]])


async def _read(
    client: ApiClient, namespace: str, plural: str, name: str, *, is_optional: bool = False
) -> dict[str, bytes]:
    found = await client.find(core_path(namespace, plural, name))
    if found is None:
        if is_optional:
            return {}
        raise NotReady("ContainerCreating", f'{plural.removesuffix("s")} "{name}" not found')
    data: dict[str, str] = found.get("data") or {}
    if plural == "secrets":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:  # noqa: PTH123 - with a mode
        file.write(content)


async def _variables(client: ApiClient, namespace: str, container: Json) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for key, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if key in source:
                optional = bool(source[key].get("optional"))
                values = await _read(client, namespace, plural, source[key]["name"], is_optional=optional)
                prefix = source.get("prefix") or ""
                found.update((prefix + name, value.decode()) for name, value in values.items())
    for entry in container.get("env") or ():
        reference = entry.get("valueFrom") or {}
        for key, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if key in reference:
                ref = reference[key]
                values = await _read(client, namespace, plural, ref["name"], is_optional=bool(ref.get("optional")))
                if ref["key"] in values:
                    found[entry["name"]] = values[ref["key"]].decode()
                elif not ref.get("optional"):
                    raise NotReady("CreateContainerConfigError", f"{plural} {ref['name']!r} has no key {ref['key']!r}")
        if not reference:
            found[entry["name"]] = entry.get("value") or ""
    return found
