"""The image of this operator's own pod: the default for pods that need one of ours."""

from dataclasses import replace

from agentic_operator.config import InvalidSetting, Settings
from agentic_operator.kube.client import PODS, Kube


async def complete_vault(settings: Settings, kube: Kube) -> Settings:
    """Return settings with the image of ``vault-init``: by default that of this operator's own pod."""
    vault = settings.jobs.vault
    if vault is None or vault.image:
        return settings
    pod = await kube.find(PODS, settings.namespace, settings.identity)
    containers = ((pod or {}).get("spec") or {}).get("containers") or ()
    image = next((str(one["image"]) for one in containers if one.get("name") == "operator"), "")
    if not image:
        raise InvalidSetting(
            f"VAULT_INIT_IMAGE is not set, and there is no pod {settings.identity!r} in {settings.namespace!r} with a "
            "container 'operator' to take it from: name the operator's image"
        )
    return replace(settings, jobs=replace(settings.jobs, vault=replace(vault, image=image)))
