{{- /* The release's name where it holds the chart's, else both; or what fullnameOverride says. */ -}}
{{- define "agentic-operator.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- end }}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* What other names begin with: `agentic` makes `agentic-runner` beside `agentic-operator`. */ -}}
{{- define "agentic-operator.base" -}}
{{- include "agentic-operator.fullname" . | trimSuffix "-operator" }}
{{- end }}

{{- /* What is done with definitions of the cluster: with rights in namespaces alone, nothing. */ -}}
{{- define "agentic-operator.clusterDefinitions" -}}
{{- .Values.clusterDefinitions | default (ternary "inspect" "off" (eq .Values.rbac.scope "Cluster")) }}
{{- end }}

{{- /* The ClusterRole of runners, which the release with the shared part makes. */ -}}
{{- define "agentic-operator.runnerRole" -}}
{{- printf "%s-runner" (.Values.sharedName | default (include "agentic-operator.base" .)) }}
{{- end }}

{{- /* The end of the names of admission policies. */ -}}
{{- define "agentic-operator.domain" -}}
{{- $name := include "agentic-operator.fullname" . }}
{{- ternary "agentic-operator.dev" (printf "%s.agentic-operator.dev" $name) (eq $name "agentic-operator") }}
{{- end }}

{{- /* The migration's Job. Beside a trial database it is no hook, and a Job's template cannot change: each revision has one. */ -}}
{{- define "agentic-operator.migration" -}}
{{- printf "%s-migrate" (include "agentic-operator.base" .) }}
{{- if .Values.trial.enabled }}
{{- printf "-%d" .Release.Revision }}
{{- end }}
{{- end }}

{{- define "agentic-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "agentic-operator.image" -}}
{{- include "agentic-operator.referred" (list . .Values.image) }}
{{- end }}

{{- define "agentic-operator.gatewayImage" -}}
{{- include "agentic-operator.referred" (list . .Values.gateway.image) }}
{{- end }}

{{- /* An image by its digest, else by its tag, else by the chart's version. */ -}}
{{- define "agentic-operator.referred" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- $version := printf ":%s" ($image.tag | default $root.Chart.AppVersion) }}
{{- with $image.digest }}
{{- $version = printf "@%s" . }}
{{- end }}
{{- include "agentic-operator.mirrored" (list $root (printf "%s%s" $image.repository $version)) }}
{{- end }}

{{- /* An image as it is called, or below the mirror in place of its registry; one that is there already stays. */ -}}
{{- define "agentic-operator.mirrored" -}}
{{- $mirror := ((index . 0).Values.global).imageRegistry }}
{{- $image := index . 1 }}
{{- if and $mirror (not (hasPrefix (printf "%s/" $mirror) $image)) }}
{{- $parts := splitList "/" $image }}
{{- if eq (len $parts) 1 }}
{{- $parts = prepend $parts "library" }}
{{- else if or (regexMatch "[.:]" (first $parts)) (eq (first $parts) "localhost") }}
{{- $parts = rest $parts }}
{{- end }}
{{- printf "%s/%s" $mirror (join "/" $parts) }}
{{- else }}
{{- $image }}
{{- end }}
{{- end }}

{{- /* Variables of the gateway beyond those that every installation has. */ -}}
{{- define "agentic-operator.gatewayEnvironment" -}}
{{- include "agentic-operator.tracing" . }}
{{- range $name, $value := .Values.gateway.settings }}
- name: {{ $name }}
  value: {{ (kindIs "float64" $value | ternary (int64 $value | toString) (toString $value)) | quote }}
{{- end }}
{{- end }}

{{- /* Where operator and gateway send their spans. */ -}}
{{- define "agentic-operator.tracing" -}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- range $name, $value := .variables }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .headersSecret }}
      key: headers
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Where pods may run, and by which Secrets their images are pulled. */ -}}
{{- define "agentic-operator.placement" -}}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $.Values $key }}
{{ toYaml (dict $key .) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A rule of a NetworkPolicy: ports everywhere, or in networks. */ -}}
{{- define "agentic-operator.rule" -}}
- ports:
  {{- range .ports }}
    - {protocol: TCP, port: {{ int . }}}
  {{- end }}
  {{- with .cidrs }}
  to:
  {{- range . }}
    - ipBlock: {cidr: {{ quote . }}}
  {{- end }}
  {{- end }}
{{- end }}

{{- /* Not empty if large results go to an object store. */ -}}
{{- define "agentic-operator.hasStore" -}}
{{- eq (toString .Values.settings.RESULT_STORE) "on" | ternary "true" "" }}
{{- end }}

{{- /* Where runners may connect to, as the operator's variable says it. */ -}}
{{- define "agentic-operator.runnerEgress" -}}
{{- $policies := .Values.networkPolicies }}
{{- if not $policies.enabled -}}
off
{{- else }}
{{- $found := ternary (list "internet") list $policies.runners.internet }}
{{- $parts := list "apiServer" "database" }}
{{- if .Values.vault.enabled }}
{{- $parts = append $parts "vault" }}
{{- end }}
{{- if include "agentic-operator.hasStore" . }}
{{- $parts = append $parts "objectStore" }}
{{- end }}
{{- if and .Values.tracing.endpoint .Values.tracing.runs }}
{{- $parts = append $parts "collector" }}
{{- end }}
{{- range $part := $parts }}
{{- $of := get $policies $part }}
{{- range $port := $of.ports }}
{{- range $of.cidrs }}
{{- $found = append $found (printf (ternary "[%s]:%d" "%s:%d" (contains ":" .)) . (int $port)) }}
{{- else }}
{{- $found = append $found (toString (int $port)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $policies.runners.destinations }}
{{- $found = append $found (kindIs "string" . | ternary . (toString (int .))) }}
{{- end }}
{{- $found | uniq | join "," }}
{{- end }}
{{- end }}

{{- /* How replicas of the operator are spread. */ -}}
{{- define "agentic-operator.spread" -}}
{{- with .Values.topologySpreadConstraints }}
{{- $ours := dict "labelSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" "agentic-operator")) }}
topologySpreadConstraints:
{{- range . }}
  - {{- toYaml (merge (deepCopy .) $ours) | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Variables of the operator beyond those that every installation has. */ -}}
{{- define "agentic-operator.environment" -}}
{{- $variables := dict }}
{{- if ne .Values.database.runnerSecret "agentic-postgres-runner" }}
{{- $_ := set $variables "RUNNER_POSTGRES_SECRET" .Values.database.runnerSecret }}
{{- end }}
{{- $role := include "agentic-operator.runnerRole" . }}
{{- if ne $role "agentic-runner" }}
{{- $_ := set $variables "RUNNER_CLUSTER_ROLE" $role }}
{{- end }}
{{- if eq .Values.podUser "cluster" }}
{{- $_ := set $variables "RUNNER_USER" "cluster" }}
{{- end }}
{{- if ne (include "agentic-operator.clusterDefinitions" .) "inspect" }}
{{- $_ := set $variables "CLUSTER_DEFINITIONS" (include "agentic-operator.clusterDefinitions" .) }}
{{- end }}
{{- if and .Values.vault.enabled (eq .Values.rbac.scope "Namespaces") }}
{{- /* Its own pod, which would tell, is not its to read. */ -}}
{{- $_ := set $variables "VAULT_INIT_IMAGE" (include "agentic-operator.image" .) }}
{{- end }}
{{- $inspections := printf "%s-inspections" (include "agentic-operator.base" .) }}
{{- if ne $inspections "agentic-inspections" }}
{{- $_ := set $variables "INSPECTION_NAMESPACE" $inspections }}
{{- end }}
{{- if and .Values.tracing.endpoint .Values.tracing.runs }}
{{- $_ := set $variables "TRACES_ENDPOINT" .Values.tracing.endpoint }}
{{- end }}
{{- $variables = mergeOverwrite $variables .Values.settings }}
{{- with $variables.VAULT_INIT_IMAGE }}
{{- $_ := set $variables "VAULT_INIT_IMAGE" (include "agentic-operator.mirrored" (list $ .)) }}
{{- end }}
{{- range $name, $value := $variables }}
- name: {{ $name }}
  value: {{ (kindIs "float64" $value | ternary (int64 $value | toString) (toString $value)) | quote }}
{{- end }}
{{- include "agentic-operator.tracing" . }}
{{- end }}

{{- /* Makes an object part of the migration that goes before all else: of Helm's hook or of ArgoCD's. */ -}}
{{- define "agentic-operator.hook" -}}
{{- $values := (index . 0).Values }}
{{- $order := index . 1 }}
{{- if $values.trial.enabled }}
{{- else if and $values.migrate.enabled (eq $values.migrate.hook "helm") -}}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: {{ $order | quote }}
  helm.sh/hook-delete-policy: before-hook-creation
{{- else if and $values.migrate.enabled (eq $values.migrate.hook "argocd") -}}
annotations:
  argocd.argoproj.io/hook: PreSync
  argocd.argoproj.io/sync-wave: {{ $order | quote }}
  argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
{{- end }}
{{- end }}
