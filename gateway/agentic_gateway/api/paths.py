"""Parts of paths and queries that many routes take."""

from typing import Annotated

from fastapi import Path, Query

Namespace = Annotated[str, Path(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Name = Annotated[str, Path(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Objects a page.")]
Continue = Annotated[str, Query(alias="continue", max_length=4096, description="Where the page before ended.")]
Selector = Annotated[str, Query(alias="labelSelector", max_length=4096, description="Kubernetes' label selector.")]
