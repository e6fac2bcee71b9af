"""Declares which places of the manifests are values of the Helm chart."""

from typing import Final

from hack.chart.templates import Place, Template, cut, replace_places
from hack.install import NAMESPACE
from hack.kubectl import ROOT

CHART: Final = ROOT / "charts" / "agentic-operator"

_FULL_NAME: Final = '{{ include "agentic-operator.fullname" . }}'
_OPERATES: Final = ".Values.parts.operator"
_GRANTS: Final = ".Values.parts.rights"
_SHARES: Final = ".Values.parts.shared"
_MIGRATES: Final = f"and {_OPERATES} .Values.migrate.enabled"
_IN_CLUSTER: Final = f'and {_GRANTS} (eq .Values.rbac.scope "Cluster")'
_IN_NAMESPACES: Final = f'and {_GRANTS} (eq .Values.rbac.scope "Namespaces")'
_CLUSTER_DEFINITIONS: Final = '(include "agentic-operator.clusterDefinitions" .)'
_RUNNER_ROLE: Final = '{{ include "agentic-operator.runnerRole" . }}'
_VAULT: Final = ".Values.vault.enabled"
_GATEWAY: Final = ".Values.gateway.enabled"


def name(part: str) -> str:
    """Return a name beside the release's: ``agentic-runner`` where that is ``agentic-operator``."""
    return f'{{{{ include "agentic-operator.base" . }}}}-{part}'


def either(condition: str, text: str, otherwise: str = "") -> str:
    """Return lines that depend on a value."""
    other = f"{{{{- else }}}}\n{otherwise}" if otherwise else ""
    return f"{{{{- if {condition} }}}}\n{text}{other}{{{{- end }}}}\n"


def mirrored(path: str) -> str:
    """Return an image that a value names, which a mirror may stand before."""
    return f'{{{{ include "agentic-operator.mirrored" (list . .Values.{path}) }}}}'


def filled(indent: int, rendered: str) -> str:
    """Return what puts rendered lines there, and nothing if there are none."""
    return f"{{{{- with {rendered} }}}}\n{' ' * indent}{{{{- . | nindent {indent} }}}}\n{{{{- end }}}}\n"


def hook(weight: int) -> str:
    """Return what makes an object part of the migration's hook, in its order."""
    return f'{{{{- include "agentic-operator.hook" (list . "{weight}") | nindent 2 }}}}'


_KEPT: Final = "annotations:\n    helm.sh/resource-policy: keep"


def resources(indent: int, path: str, cpu: str, memory: str, limit: str, disk: tuple[str, str]) -> Place:
    """Return the place of a container's resources; ``disk`` is what it is promised of the node's, and may use."""
    space = " " * indent
    old = (
        f"{space}resources:\n{space}  requests:\n{space}    cpu: {cpu}\n{space}    memory: {memory}\n"
        f"{space}    ephemeral-storage: {disk[0]}\n{space}  limits:\n{space}    memory: {limit}\n"
        f"{space}    ephemeral-storage: {disk[1]}\n"
    )
    return Place(old, f"{space}resources:\n{space}  {{{{- toYaml .Values.{path} | nindent {indent + 2} }}}}\n")


_IMAGE: Final = (
    Place("image: agentic-operator/operator:dev\n", 'image: {{ include "agentic-operator.image" . }}\n'),
    Place("imagePullPolicy: IfNotPresent\n", "imagePullPolicy: {{ .Values.image.pullPolicy }}\n"),
)


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def vault_init(file: str, part: str) -> str:
    """Return the init container that ``manifests/vault`` patches into a pod, with the values of a part."""
    text = read(file)
    end = "      containers:\n" if "      containers:\n" in text else "      volumes:\n"
    role, path = f"value: agentic-{part}\n", f"value: kv/agentic/{'owner' if part == 'migrate' else part}\n"
    places = (
        *_IMAGE,
        Place("name: agentic-vault\n", f"name: {name('vault')}\n"),
        Place(role, f"value: {{{{ .Values.vault.{part}.role | quote }}}}\n"),
        Place(path, f"value: {{{{ .Values.vault.{part}.path | quote }}}}\n"),
    )
    return replace_places(cut(text, "      initContainers:\n", end), places, file)


def vault_volumes(file: str) -> str:
    text = cut(read(file), "        - name: vault\n          projected:\n")
    return text.replace("          secret: null\n", "")


def credentials(file: str, part: str, secret: str) -> tuple[Place, ...]:
    """Return the places of a pod where its connection string comes from Vault or from a Secret."""
    volume = (
        "        - name: postgres\n          secret:\n            secretName: agentic-postgres-{}\n"
        "            defaultMode: 0440\n            items:\n              - key: dsn\n                path: dsn\n"
    )
    chosen = volume.format(secret).replace(f"agentic-postgres-{secret}", f"{{{{ .Values.database.{secret}Secret }}}}")
    return (
        Place("      containers:\n", f"{either(_VAULT, vault_init(file, part))}      containers:\n"),
        Place(volume.format(secret), either(_VAULT, vault_volumes(file), chosen)),
    )


def user(indent: int) -> Place:
    """Return the place of the user and groups of a pod, which a cluster may want to say itself."""
    space = " " * indent
    lines = "".join(f"{space}{key}: 65532\n" for key in ("runAsUser", "runAsGroup", "fsGroup"))
    return Place(lines, either('ne .Values.podUser "cluster"', lines))


def placement(indent: int) -> str:
    """Return where the cluster may run a pod, and by which Secrets its images are pulled."""
    return filled(indent, 'include "agentic-operator.placement" .')


def named(old: str, new: str, count: int = 1) -> Place:
    """Return the place of an object's name, and of what refers to it."""
    return Place(f"  name: {old}\n", f"  name: {new}\n", count)


def build_deployment() -> Template:
    """Return the operator's Deployment."""
    file = "manifests/vault/operator.yaml"
    allowed = "            - name: ALLOWED_IMAGES\n              value: "
    environment = either(
        ".Values.watchNamespaces",
        '            - name: WATCH_NAMESPACES\n              value: {{ join "," .Values.watchNamespaces | quote }}\n',
    )
    environment += either(_GATEWAY, gateway_patch("            - name: GATEWAY_URL\n", "          volumeMounts:\n"))
    environment += filled(12, 'include "agentic-operator.environment" .')
    vault_source = cut(read(file), "        - name: operator\n", "      volumes:\n")
    source_of_all = cut(vault_source, "          envFrom:\n", "          env:\n").replace(
        "agentic-vault", name("vault")
    )
    told = cut(vault_source, "            - name: CREDENTIALS\n", "            - name: RUNNER_EGRESS\n")
    return Template(
        "manifests/operator/deployment.yaml",
        (
            named("agentic-operator", _FULL_NAME),
            Place("  replicas: 2\n", "  replicas: {{ .Values.replicas }}\n"),
            Place(
                "    metadata:\n      labels:\n",
                f"    metadata:\n{either('.Values.podAnnotations', _POD_ANNOTATIONS)}      labels:\n",
            ),
            Place(
                "      serviceAccountName: agentic-operator\n",
                f"      serviceAccountName: {_FULL_NAME}\n{placement(6)}",
            ),
            *_IMAGE,
            Place(
                "          env:\n",
                f"{either(_VAULT, source_of_all)}          env:\n{either(_VAULT, told)}",
            ),
            Place(
                'value: "internet,443,6443,5432,6432"\n',
                'value: {{ include "agentic-operator.runnerEgress" . | quote }}\n',
            ),
            Place(f'{allowed}"*"\n', f'{allowed}{{{{ join "," .Values.allowedImages | quote }}}}\n'),
            *(
                Place(
                    f'            - name: {variable}\n              value: "{default}"\n',
                    f"            - name: {variable}\n"
                    f'              value: {{{{ join "," .Values.{path} | default "none" | quote }}}}\n'
                    + (environment if variable == _AUTHORS[-1][0] else ""),
                )
                for variable, default, path in _AUTHORS
            ),
            Place(_SPREAD, filled(6, 'include "agentic-operator.spread" .')),
            user(8),
            resources(10, "resources", "50m", "96Mi", "512Mi", ("64Mi", "1Gi")),
            Place(
                _TMP_MOUNT,
                either(_GATEWAY, gateway_patch("            - name: gateway\n", "      volumes:\n")) + _TMP_MOUNT,
            ),
            Place(
                _TMP_VOLUME,
                either(_GATEWAY, gateway_patch("        - name: gateway\n          secret:\n")) + _TMP_VOLUME,
            ),
            *credentials(file, "operator", "operator"),
        ),
        _OPERATES,
    )


def gateway_patch(start: str, end: str | None = None) -> str:
    """Return lines that ``manifests/gateway`` patches into the operator, with the values of the chart."""
    places = (
        ("https://agentic-gateway.agentic-system.svc", f"https://{name('gateway')}.{{{{ .Release.Namespace }}}}.svc"),
        ("secretName: agentic-gateway-tls", "secretName: {{ .Values.gateway.tlsSecret }}"),
    )
    text = cut(read("manifests/gateway/operator.yaml"), start, end)
    for old, new in places:
        text = text.replace(old, new)
    return text


_TMP_MOUNT: Final = "            - name: tmp\n              mountPath: /tmp\n"
_TMP_VOLUME: Final = "        - name: tmp\n          emptyDir:\n            sizeLimit: 64Mi\n"


_AUTHORS: Final = (
    ("ALLOWED_PRIORITY_CLASSES", "none", "authors.priorityClasses"),
    ("ALLOWED_TOLERATIONS", "nvidia.com/gpu,amd.com/gpu,google.com/tpu", "authors.tolerations"),
    ("ALLOWED_NODE_LABELS", "*", "authors.nodeLabels"),
    ("ALLOWED_RUNTIME_CLASSES", "*", "authors.runtimeClasses"),
    ("ALLOWED_POD_LABELS", "*", "authors.podLabels"),
    ("ALLOWED_POD_ANNOTATIONS", "*", "authors.podAnnotations"),
    ("SESSION_LABELS", "none", "sessionLabels"),
)
_SPREAD: Final = cut(
    read("manifests/operator/deployment.yaml"), "      # One node, or one zone,", "      securityContext:\n"
)
_POD_ANNOTATIONS: Final = "      annotations:\n        {{- toYaml .Values.podAnnotations | nindent 8 }}\n"


def build_migration() -> tuple[Template, ...]:
    """Return the migration's Job and what it needs, which are hooks where the values say so."""
    file = "manifests/vault/migrate.yaml"
    account = "      serviceAccountName: agentic-migrate\n"
    cut(read(file), account)
    job = Template(
        "manifests/migrate/job.yaml",
        (
            named("agentic-migrate", '{{ include "agentic-operator.migration" . }}'),
            Place("backoffLimit: 3\n", "backoffLimit: {{ .Values.migrate.backoffLimit }}\n"),
            Place(
                "ttlSecondsAfterFinished: 86400\n",
                "ttlSecondsAfterFinished: {{ int64 .Values.migrate.ttlSecondsAfterFinished }}\n",
            ),
            Place(
                "      restartPolicy: Never\n",
                "      restartPolicy: Never\n"
                + either(_VAULT, account.replace("agentic-migrate", name("migrate")))
                + placement(6),
            ),
            *_IMAGE,
            Place('--wait, "300"]', "--wait, {{ int64 .Values.migrate.waitSeconds | quote }}]"),
            user(8),
            resources(10, "migrate.resources", "50m", "64Mi", "256Mi", ("16Mi", "512Mi")),
            Place("name: agentic-migrations\n", f"name: {name('migrations')}\n"),
            *credentials(file, "migrate", "owner"),
        ),
        _MIGRATES,
        hook(-1),
    )
    files = Template(
        "manifests/migrate/migrations.yaml",
        (named("agentic-migrations", name("migrations")),),
        # A backup uses a script of it.
        f"and {_OPERATES} (or .Values.migrate.enabled .Values.backup.enabled)",
        hook(-2),
    )
    vault = Template(
        "manifests/vault/vault.yaml",
        (
            named("agentic-vault", name("vault")),
            named("agentic-migrate", name("migrate")),
            Place(
                "  VAULT_ADDR: https://vault.example.com:8200\n",
                "  VAULT_ADDR: {{ .Values.vault.address | quote }}\n  {{- with .Values.vault.settings }}\n"
                "  {{- toYaml . | nindent 2 }}\n  {{- end }}\n",
            ),
        ),
        f"and {_OPERATES} {_VAULT}",
        hook(-2),
    )
    return job, files, vault


def build_rights() -> tuple[Template, ...]:
    """Return roles, accounts and policies; those of the whole cluster have the release's name in theirs."""
    rbac = Template(
        "manifests/operator/rbac.yaml",
        (
            named("agentic-operator", _FULL_NAME, 9),
            named("agentic-runner", _RUNNER_ROLE),
            *(named(f"agentic-{part}", name(part)) for part in ("view", "audit", "state", "start", "edit")),
            _BIND,
            Place(
                "[agentic-postgres-runner, agentic-results, agentic-encryption]",
                "['{{ .Values.database.runnerSecret }}', agentic-results, agentic-encryption]",
            ),
        ),
        sections=(
            ("", _IN_CLUSTER),
            ("apiVersion: v1\nkind: ServiceAccount\n", _OPERATES),
            ("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n", _GRANTS),
            ("# Bound in each namespace by the operator.", _SHARES),
        ),
    )
    served = Template(
        "manifests/namespaced/role.yaml",
        (
            named("agentic-operator", _FULL_NAME, 4),
            Place("  namespace: team\n", "  namespace: {{ $served }}\n", 2),
            _BIND,
        ),
        _IN_NAMESPACES,
        each=".Values.watchNamespaces",
    )
    definitions = Template(
        "manifests/namespaced/cluster-definitions.yaml",
        (
            named("agentic-operator", _FULL_NAME, 5),
            named("agentic-definitions", name("definitions"), 3),
            Place("  namespace: agentic-inspections\n", f"  namespace: {name('inspections')}\n", 2),
            Place(_WRITES, either(f'eq {_CLUSTER_DEFINITIONS} "inspect"', _WRITES)),
        ),
        _IN_NAMESPACES,
        sections=(
            ("", f'ne {_CLUSTER_DEFINITIONS} "off"'),
            ("# Where it inspects them.", f'eq {_CLUSTER_DEFINITIONS} "inspect"'),
        ),
    )
    policies = (
        "runner-writes-own-session",
        "runners-are-the-operators",
        "sessions-leave-room",
        "inputs-are-immutable",
        "reserved-config-keys",
        "names-are-their-bearers",
        "answers-keep-to-their-rules",
        "turns-are-their-authors",
    )
    deny = "  validationActions: [Deny]\n"
    admission = Template(
        "manifests/operator/admission.yaml",
        (
            *(
                Place(
                    f"ame: {policy}.agentic-operator.dev\n",
                    f'ame: {policy}.{{{{ include "agentic-operator.domain" . }}}}\n',
                    3,
                )
                for policy in policies
            ),
            Place(
                "system:serviceaccount:agentic-system:agentic-operator'",
                f"system:serviceaccount:{{{{ .Release.Namespace }}}}:{_FULL_NAME}'",
                5,
            ),
            Place(
                "system:serviceaccount:agentic-system:agentic-gateway'",
                f"system:serviceaccount:{{{{ .Release.Namespace }}}}:{name('gateway')}'",
                2,
            ),
            Place(
                "['system:serviceaccount:kube-system:job-controller', 'system:kube-controller-manager']",
                "[{{ range $at, $name := .Values.jobControllers }}{{ if $at }}, {{ end }}{{ squote $name }}{{ end }}]",
            ),
            # The runs of one release are not another's: each watches over the namespaces that it serves.
            *(
                Place(f"{deny}---\n{after}", f"{either('.Values.watchNamespaces', _SERVED)}{deny}---\n{after}")
                for after in ("# Whose pod carries", "# etcd takes", "# A turn of a", "# `inputs`, `config`")
            ),
        ),
        sections=(("", _GRANTS), ("# `inputs`, `config`", _SHARES)),
    )
    inspections = Template(
        "manifests/operator/inspections.yaml",
        (Place(": agentic-inspections\n", f": {name('inspections')}\n", 3),),
        f'and {_GRANTS} (eq {_CLUSTER_DEFINITIONS} "inspect")',
    )
    disruptions = Template(
        "manifests/operator/disruptions.yaml",
        (
            named("agentic-operator", _FULL_NAME),
            Place("  maxUnavailable: 1\n", "  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}\n"),
        ),
        f"and {_OPERATES} .Values.podDisruptionBudget.enabled",
    )
    return rbac, served, definitions, inspections, admission, disruptions


def rule(part: str, *ports: int) -> Place:
    """Return the place of a rule that allows connections to these TCP ports."""
    lines = "".join(f"        - {{protocol: TCP, port: {port}}}\n" for port in ports)
    included = f'include "agentic-operator.rule" .Values.networkPolicies.{part}'
    return Place(f"    - ports:\n{lines}", f"    {{{{- {included} | nindent 4 }}}}\n")


_COLLECTOR: Final = "    {{- if .Values.tracing.endpoint }}\n" + rule("collector").new + "    {{- end }}\n"


def build_networks() -> tuple[Template, ...]:
    """Return who may connect to the release's pods, and where they may connect to."""
    enabled = f"and {_OPERATES} .Values.networkPolicies.enabled"
    database = rule("database", 5432, 6432)
    vault = "    {{- if .Values.vault.enabled }}\n" + rule("vault").new + "    {{- end }}\n"
    with_vault = Place(database.old, database.new + vault)
    # The operator removes the results of deleted sessions.
    store = '    {{- if include "agentic-operator.hasStore" . }}\n' + rule("objectStore").new + "    {{- end }}\n"
    with_store = Place(database.old, database.new + vault + store + _COLLECTOR)
    scraped = "    - ports:\n        - {protocol: TCP, port: 8080}\n"
    operator = Template(
        "manifests/operator/network.yaml",
        (
            named("agentic-operator", _FULL_NAME),
            Place(scraped, scraped + _SCRAPERS),
            rule("apiServer", 443, 6443),
            with_store,
        ),
        enabled,
    )
    migrate = Template(
        "manifests/migrate/network.yaml",
        (named("agentic-migrate", name("migrate")), with_vault),
        f"and ({_MIGRATES}) .Values.networkPolicies.enabled",
        hook(-2),
    )
    backup = Template(
        "manifests/backup/network.yaml",
        (named("agentic-backup", name("backup")), database),
        f"and ({enabled}) .Values.backup.enabled",
    )
    return operator, migrate, backup


_SCRAPERS: Final = """\
      {{- with .Values.networkPolicies.metrics.from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
"""
_BIND: Final = Place(
    "    resources: [clusterroles]\n    resourceNames: [agentic-runner]\n",
    f"    resources: [clusterroles]\n    resourceNames: ['{_RUNNER_ROLE}']\n",
)
_WRITES: Final = cut(read("manifests/namespaced/cluster-definitions.yaml"), "  # One operator of a cluster", "---\n")
_SERVED: Final = """\
  matchResources:
    namespaceSelector:
      matchExpressions:
        - {key: kubernetes.io/metadata.name, operator: In, values: {{ .Values.watchNamespaces | toJson }}}
"""
_STORAGE_CLASS: Final = "  storageClassName: {{ .Values.backup.storageClassName }}\n"


def build_gateway() -> tuple[Template, ...]:
    """Return the gateway, which is off by default."""
    enabled = f"and {_OPERATES} {_GATEWAY}"
    own = named("agentic-gateway", name("gateway"))
    rbac = Template(
        "manifests/gateway/rbac.yaml",
        (named("agentic-gateway", name("gateway"), 5),),
        _GATEWAY,
        sections=(("", _GRANTS), ("apiVersion: v1\nkind: ServiceAccount\n", _OPERATES)),
    )
    number = "  # How many there are is the HorizontalPodAutoscaler's to say: two at least.\n"
    fixed = either("not .Values.gateway.autoscaling", "  replicas: {{ .Values.gateway.replicas }}\n")
    mount = either(".Values.gateway.filesSecret", _FILES_MOUNT)
    volume = either(".Values.gateway.filesSecret", _FILES_VOLUME)
    deployment = Template(
        "manifests/gateway/deployment.yaml",
        (
            own,
            Place(number, number + fixed),
            Place(
                "    metadata:\n      labels:\n",
                f"    metadata:\n{either('.Values.podAnnotations', _POD_ANNOTATIONS)}      labels:\n",
            ),
            Place(
                "      serviceAccountName: agentic-gateway\n",
                f"      serviceAccountName: {name('gateway')}\n{placement(6)}",
            ),
            Place(
                "image: agentic-operator/gateway:dev\n",
                'image: {{ include "agentic-operator.gatewayImage" . }}\n',
            ),
            Place("imagePullPolicy: IfNotPresent\n", "imagePullPolicy: {{ .Values.gateway.image.pullPolicy }}\n"),
            Place(
                "          ports:\n",
                filled(12, 'include "agentic-operator.gatewayEnvironment" .') + "          ports:\n",
            ),
            user(8),
            resources(10, "gateway.resources", "100m", "192Mi", "1Gi", ("64Mi", "1Gi")),
            Place(_TMP_MOUNT, mount + _TMP_MOUNT),
            Place(_TMP_VOLUME, volume + _TMP_VOLUME),
            Place("secretName: agentic-postgres-gateway\n", "secretName: {{ .Values.gateway.databaseSecret }}\n"),
            Place("secretName: agentic-gateway-tls\n", "secretName: {{ .Values.gateway.tlsSecret }}\n"),
        ),
        enabled,
    )
    service = Template("manifests/gateway/service.yaml", (own,), enabled)
    scaling = Template(
        "manifests/gateway/scaling.yaml",
        (
            named("agentic-gateway", name("gateway"), 2),
            Place("minReplicas: 2\n", "minReplicas: {{ .Values.gateway.replicas }}\n"),
            Place("maxReplicas: 10\n", "maxReplicas: {{ .Values.gateway.maxReplicas }}\n"),
        ),
        f"and ({enabled}) .Values.gateway.autoscaling",
    )
    disruptions = Template(
        "manifests/gateway/disruptions.yaml", (own,), f"and ({enabled}) .Values.podDisruptionBudget.enabled"
    )
    database = rule("database", 5432, 6432)
    network = Template(
        "manifests/gateway/network.yaml",
        (own, rule("apiServer", 443, 6443), Place(database.old, database.new + _COLLECTOR)),
        f"and ({enabled}) .Values.networkPolicies.enabled",
    )
    return rbac, deployment, service, scaling, disruptions, network


_FILES_MOUNT: Final = (
    "            - name: files\n              mountPath: /var/run/secrets/agentic/files\n              readOnly: true\n"
)
_FILES_VOLUME: Final = (
    "        - name: files\n          secret:\n            secretName: {{ .Values.gateway.filesSecret }}\n"
    "            defaultMode: 0440\n"
)


def build_extras() -> tuple[Template, ...]:
    """Return what is off by default: metrics and alerts, and a nightly backup."""
    monitored = f"and {_OPERATES} .Values.monitoring.enabled"
    monitor = Template("manifests/monitoring/podmonitor.yaml", (named("agentic-operator", _FULL_NAME),), monitored)
    rules = Template(
        "manifests/monitoring/prometheusrule.yaml",
        (
            named("agentic-operator", _FULL_NAME),
            Place('job_name="agentic-migrate"', f'job_name="{name("migrate")}"', 2),
            Place('cronjob="agentic-backup"', f'cronjob="{name("backup")}"', 2),
            Place('job=~"(.*/)?agentic-gateway"', f'job=~"(.*/)?{name("gateway")}"'),
        ),
        monitored,
    )
    of_gateway = Template(
        "manifests/monitoring/gateway.yaml",
        (named("agentic-gateway", name("gateway")),),
        monitored,
    )
    enabled = f"and {_OPERATES} .Values.backup.enabled"
    claim = Template(
        "manifests/backup/claim.yaml",
        (
            named("agentic-backups", name("backups")),
            Place("      storage: 10Gi\n", "      storage: {{ .Values.backup.size }}\n"),
            Place(
                "  accessModes:",
                f"{either('.Values.backup.storageClassName', _STORAGE_CLASS)}  accessModes:",
            ),
        ),
        enabled,
        _KEPT,
    )
    cronjob = Template(
        "manifests/backup/cronjob.yaml",
        (
            named("agentic-backup", name("backup"), 2),
            Place('schedule: "17 2 * * *"', "schedule: {{ .Values.backup.schedule | quote }}"),
            Place("          restartPolicy: Never\n", f"          restartPolicy: Never\n{placement(10)}"),
            Place("image: docker.io/library/postgres:16\n", f"image: {mirrored('backup.image')}\n"),
            Place('value: "14"', "value: {{ .Values.backup.dumps | quote }}"),
            user(12),
            resources(14, "backup.resources", "100m", "64Mi", "512Mi", ("16Mi", "512Mi")),
            Place("claimName: agentic-backups\n", f"claimName: {name('backups')}\n"),
            Place("name: agentic-migrations\n", f"name: {name('migrations')}\n"),
            Place("secretName: agentic-postgres-owner\n", "secretName: {{ .Values.database.ownerSecret }}\n"),
        ),
        enabled,
    )
    scripts = Template("manifests/backup/scripts.yaml", (named("agentic-backup", name("backup")),), enabled)
    return monitor, of_gateway, rules, claim, cronjob, scripts


def build_trial() -> tuple[Template, ...]:
    """Return a PostgreSQL for trying things out, which is off by default and goes with the release."""
    enabled = f"and {_OPERATES} .Values.trial.enabled"
    own = name("trial-postgres")
    server = Template(
        "manifests/postgres/postgres.yaml",
        (
            named("postgres", own, 2),
            Place("app.kubernetes.io/name: postgres\n", f"app.kubernetes.io/name: {own}\n", 4),
            Place("  serviceName: postgres\n", f"  serviceName: {own}\n{_TRIAL_CLAIM}"),
            Place("image: docker.io/library/postgres:16\n", f"image: {mirrored('trial.image')}\n"),
            Place("in the Secret postgres-superuser.\n", f"in the Secret {own}.\n"),
            Place("secretName: postgres-superuser\n", f"secretName: {own}\n"),
            Place("            storage: 1Gi\n", "            storage: {{ .Values.trial.size }}\n"),
        ),
        enabled,
    )
    network = Template(
        "manifests/postgres/network.yaml",
        (
            named("postgres", own),
            Place("      app.kubernetes.io/name: postgres\n", f"      app.kubernetes.io/name: {own}\n"),
        ),
        f"and ({enabled}) .Values.networkPolicies.enabled",
    )
    return server, network


_TRIAL_CLAIM: Final = """\
  # With the release goes its Secret, and without that nobody reads the data any more.
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
"""


def build_scripts() -> dict[str, object]:
    """Return the ConfigMap that kustomize makes of the backup's scripts."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "agentic-backup", "namespace": NAMESPACE},
        "data": {file: read(f"manifests/backup/{file}") for file in ("backup.sh", "restore.sh")},
    }


def build_templates() -> tuple[Template, ...]:
    """Return every template that is made of a manifest."""
    crds = tuple(
        Template(
            f"crds/{plural}.yaml",
            (),
            f"and {_SHARES} .Values.crds.install",
            f"{{{{- if .Values.crds.keep }}}}\n  {_KEPT}\n  {{{{- end }}}}",
        )
        for plural in ("agenticsessions", "clusterworkflowdefinitions", "workflowdefinitions")
    )
    return (
        *crds,
        *build_rights(),
        build_deployment(),
        *build_migration(),
        *build_networks(),
        *build_gateway(),
        *build_extras(),
        *build_trial(),
    )
