#!/bin/sh
# Checks a deployment in eight steps, each with what to do where it fails. Changes nothing, reads no secret's value.
#
#     ./checklist.sh            kubectl's current context; KUBECTL="kubectl --context prod" for another
#     NAMESPACE=agentic-system  where the operator lives
#
# Exit status: 0 all passed, 1 a check failed, 2 no kubectl.
set -u
kubectl=${KUBECTL:-kubectl}
namespace=${NAMESPACE:-agentic-system}
failed=0
number=0
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-}" != dumb ]; then
    pass=$(printf '\033[32mPASS\033[0m') fail=$(printf '\033[31m\033[1mFAIL\033[0m')
else
    pass=PASS fail=FAIL
fi
command -v "${kubectl%% *}" > /dev/null 2>&1 || {
    echo "error: '${kubectl%% *}' is not on the PATH: install kubectl, or name it in KUBECTL" >&2
    exit 2
}

# report TITLE PROBLEM REMEDY: a check passed where PROBLEM is empty.
report() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        printf '%s  %s  %s\n' "$pass" "$number" "$1"
    else
        printf '%s  %s  %s: %s\n         %s\n' "$fail" "$number" "$1" "$2" "$3"
        failed=$((failed + 1))
    fi
}

ask() {
    $kubectl "$@" 2> /dev/null
}

can() {
    ask auth can-i "$@" --as="system:serviceaccount:$namespace:agentic-operator" -q
}

# 1
problem=''
minor=$(ask version -o json | tr -d ' \n' | sed -n 's/.*"serverVersion":{[^}]*"minor":"\([0-9]*\).*/\1/p')
if [ -z "$minor" ]; then
    problem="$(ask config current-context || echo 'no context') does not answer"
elif [ "$minor" -lt 30 ]; then
    problem="Kubernetes 1.$minor"
fi
report "cluster" "$problem" "name a reachable cluster of version 1.30 or newer: kubectl config use-context NAME"

# 2
problem=''
for plural in agenticsessions workflowdefinitions clusterworkflowdefinitions; do
    state=$(ask get crd "$plural.agentic-operator.dev" \
        -o 'jsonpath={.status.conditions[?(@.type=="Established")].status}')
    [ "$state" = True ] || problem="$problem $plural"
done
report "resources" "${problem:+not established:$problem}" "kubectl apply --server-side -k crds"

# 3
problem=''
level=$(ask get namespace "$namespace" -o 'jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}')
ask get namespace "$namespace" -o name > /dev/null || problem="there is no namespace $namespace"
if [ -z "$problem" ] && [ "$level" != restricted ]; then
    problem="pods of $namespace are held to '${level:-nothing}'"
fi
report "namespace" "$problem" "kubectl apply -f manifests/operator/namespace.yaml"

# 4
problem=''
if ! ask -n "$namespace" get configmap agentic-vault -o name > /dev/null; then
    for secret in agentic-postgres-owner agentic-postgres-operator agentic-postgres-runner; do
        has=$(ask -n "$namespace" get secret "$secret" -o 'go-template={{if .data.dsn}}yes{{end}}')
        [ "$has" = yes ] || problem="$problem $secret"
    done
fi
report "credentials" "${problem:+no key dsn in:$problem}" \
    "kubectl create secret generic -n $namespace NAME --from-file=dsn=FILE; or use manifests/vault"

# 5
problem=''
if ask -n "$namespace" get job agentic-migrate -o name > /dev/null; then
    complete=$(ask -n "$namespace" get job agentic-migrate \
        -o 'jsonpath={.status.conditions[?(@.type=="Complete")].status}')
    broken=$(ask -n "$namespace" get job agentic-migrate \
        -o 'jsonpath={.status.conditions[?(@.type=="Failed")].reason}')
    [ "$complete" = True ] || problem="the Job is not complete${broken:+, $broken}"
fi
report "migration" "$problem" \
    "kubectl -n $namespace logs job/agentic-migrate; then delete the Job and apply manifests/migrate again"

# 6
problem=''
for right in "create jobs.batch" "list pods" "patch agenticsessions.agentic-operator.dev/status" "list namespaces" \
    "create secrets" "create events.events.k8s.io" "list events.events.k8s.io"; do
    # shellcheck disable=SC2086
    can $right -A || problem="$problem, $right"
done
report "rights" "${problem:+the operator may not: ${problem#, }}" \
    "kubectl apply -f manifests/operator/rbac.yaml; to ask for it, you need the right to impersonate"

# 7
problem=''
for policy in runner-writes-own-session inputs-are-immutable reserved-config-keys names-are-their-bearers; do
    for kind in validatingadmissionpolicy validatingadmissionpolicybinding; do
        ask get "$kind" "$policy.agentic-operator.dev" -o name > /dev/null || problem="$problem $kind/$policy"
    done
done
report "admission" "${problem:+missing:$problem}" "kubectl apply -f manifests/operator/admission.yaml"

# 8
problem=''
available=$(ask -n "$namespace" get deployment agentic-operator \
    -o 'jsonpath={.status.conditions[?(@.type=="Available")].status}')
holder=$(ask -n "$namespace" get lease agentic-operator -o 'jsonpath={.spec.holderIdentity}')
if [ "$available" != True ]; then
    problem="no replica is available"
elif [ -z "$holder" ]; then
    problem="no replica leads"
fi
report "operator" "$problem" \
    "kubectl -n $namespace describe deployment agentic-operator; kubectl -n $namespace logs deployment/agentic-operator"

if [ "$failed" -gt 0 ]; then
    echo "$failed of $number checks failed"
    exit 1
fi
echo "all $number checks passed"
