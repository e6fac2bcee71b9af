/** A new session of one workflow, by the form of its schema. */
import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useCallback, useState } from 'react';

import { type AgenticSessionSpec, type Json, type JsonObject, Problem, api, asObject } from '@/api';
import { useTitle } from '@/app/title';
import { useMyself } from '@/auth/myself';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Checkbox } from '@/components/ui/checkbox';
import { Input } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import { Skeleton } from '@/components/ui/skeleton';
import { FoldSummary } from '@/form/FoldedValue';
import { useRequestKeys } from '@/form/idempotency';
import { type FormValue, toForm } from '@/form/numbers';
import { useValue } from '@/form/value';
import { type FurtherValue, ValueForm } from '@/form/ValueForm';
import { isMembers } from '@/form/validator/objects';
import { showLine, showText } from '@/lib/text';
import { newSessionStrings as strings } from '@/strings/newSession';
import { ManifestButton } from './ManifestButton';
import { type Kind, buildSpec, isConversational, readRules, splitWorkflow } from './rules';
import { readConfigRules, readContextRules } from './settings';

const route = getRouteApi('/shell/new/$namespace/$workflow');

export default function Page(): ReactNode {
  const { namespace, workflow } = route.useParams();
  const { from } = route.useSearch();
  const { name, kind } = splitWorkflow(workflow);
  useTitle(strings.title(showLine(name)));
  const definition = useDefinition(namespace, name, kind);
  const source = useSource(from);
  const error = definition.error ?? source.error;

  return (
    <>
      <PageHeader title={strings.title(showLine(name))} />
      <div className="mx-auto w-full max-w-3xl px-4 py-5 sm:px-6">
        {error !== null && (
          <ProblemPanel
            error={error}
            namespace={namespace}
            onRetry={() => {
              void definition.refetch();
              void source.refetch();
            }}
          />
        )}
        {error === null && (definition.data === undefined || source.data === undefined) && (
          <div className="space-y-3">
            <Skeleton className="h-4 w-1/3" />
            <Skeleton className="h-8 w-full" />
            <Skeleton className="h-8 w-full" />
          </div>
        )}
        {definition.data !== undefined && source.data !== undefined && (
          <Start
            key={`${namespace}/${workflow}/${from ?? ''}`}
            namespace={namespace}
            name={name}
            kind={kind}
            definition={definition.data.definition}
            schemas={definition.data.schemas}
            from={from}
            source={source.data}
          />
        )}
      </div>
    </>
  );
}

function useDefinition(namespace: string, name: string, kind: Kind) {
  return useQuery({
    queryKey: ['new-session', namespace, name, kind],
    // The form stays as it is while somebody fills it in.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    queryFn: async ({ signal }) => {
      const isOfCluster = kind === 'ClusterWorkflowDefinition';
      const [definition, schemas] = await Promise.all(
        isOfCluster
          ? [
              api.get('/api/v1/cluster-workflow-definitions/{name}', { path: { name }, signal }),
              api.get('/api/v1/cluster-workflow-definitions/{name}/schemas', { path: { name }, signal }),
            ]
          : [
              api.get('/api/v1/workflow-definitions/{namespace}/{name}', {
                path: { namespace, name },
                signal,
              }),
              api.get('/api/v1/workflow-definitions/{namespace}/{name}/schemas', {
                path: { namespace, name },
                signal,
              }),
            ],
      );
      return {
        definition: asObject(definition as unknown as Json) ?? {},
        schemas: asObject(schemas as unknown as Json) ?? {},
      };
    },
  });
}

/** The session whose inputs the form begins with; null without one. */
function useSource(from: string | undefined) {
  return useQuery({
    queryKey: ['new-session-from', from ?? ''],
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    queryFn: async ({ signal }) => {
      const [namespace = '', name = ''] = (from ?? '').split('/');
      if (name === '') return null;
      const session = await api.get('/api/v1/agentic-sessions/{namespace}/{name}', {
        path: { namespace, name },
        signal,
      });
      return asObject((session as unknown as JsonObject)['spec']) ?? {};
    },
  });
}

interface StartProps {
  readonly namespace: string;
  readonly name: string;
  readonly kind: Kind;
  readonly definition: JsonObject;
  readonly schemas: JsonObject;
  readonly from: string | undefined;
  readonly source: JsonObject | null;
}

function Start({ namespace, name, kind, definition, schemas, from, source }: StartProps) {
  const navigate = useNavigate();
  const keys = useRequestKeys();
  const myself = useMyself();
  const [rules] = useState(() => readRules(schemas));
  const [initial] = useState(() => (source?.['inputs'] === undefined ? undefined : toForm(source['inputs'])));
  const [sessionName, setSessionName] = useState('');
  const [displayName, setDisplayName] = useState('');
  const [nameProblem, setNameProblem] = useState<string | null>(null);
  const [asConversation, setConversation] = useState(isConversational(rules.schema));
  const spec = asObject(definition['spec']) ?? {};
  const description = typeof spec['description'] === 'string' ? spec['description'] : '';
  const problem = findUnready(definition);
  const draft = `session.${namespace}/${kind}/${name}/${from ?? ''}`;
  const given = useSettings(definition, schemas, source, draft);
  const settings = {
    name,
    kind,
    displayName,
    asConversation,
    by: myself.data?.username ?? '',
    config: given.config,
    context: given.context,
  };

  const create = async (inputs: FormValue | undefined) => {
    const body = {
      metadata: sessionName === '' ? {} : { name: sessionName },
      spec: buildSpec(settings, inputs),
    };
    setNameProblem(null);
    try {
      const made = await api.post('/api/v1/agentic-sessions/{namespace}', {
        path: { namespace },
        // What has another shape is refused before it comes here.
        body: { ...body, spec: body.spec as AgenticSessionSpec },
        headers: { 'Idempotency-Key': keys.take(body) },
      });
      const found = asObject((made as unknown as JsonObject)['metadata'])?.['name'];
      await navigate({
        to: '/sessions/$namespace/$name',
        params: { namespace, name: typeof found === 'string' ? found : sessionName },
      });
    } catch (error) {
      if (error instanceof Problem) {
        keys.drop(error);
        setNameProblem(
          error.errors.find(({ pointer }) => pointer.includes('/metadata/name'))?.message ?? null,
        );
      }
      throw error;
    }
  };

  return (
    <div className="space-y-5">
      {description !== '' && (
        <p dir="auto" className="text-muted-foreground text-[13px] leading-5 whitespace-pre-line">
          {showText(description)}
        </p>
      )}
      {problem !== null && (
        <div role="status" className="border-warning/40 bg-warning/5 rounded-md border p-3 text-[13px]">
          <p className="font-medium">{strings.notReady}</p>
          <p dir="auto" className="break-words">
            {showLine(problem)}
          </p>
          <p className="text-muted-foreground">{strings.notReadyHint}</p>
        </div>
      )}
      {from !== undefined && <p className="text-muted-foreground text-xs">{strings.from(showLine(from))}</p>}
      {rules.schema === null && <p className="text-muted-foreground text-xs">{strings.noSchema}</p>}
      {rules.schema !== null && !rules.isDeclared && (
        <p className="text-muted-foreground text-xs">{strings.derived}</p>
      )}
      <ValueForm
        schema={rules.schema}
        judging={rules.judging}
        hints={rules.hints}
        initial={initial}
        draft={draft}
        at={asConversation ? '/spec/turns/0/input' : '/spec/inputs'}
        further={given.further}
        label={strings.label}
        submitLabel={asConversation ? strings.startConversation : strings.start}
        busyLabel={strings.creating}
        onSubmit={create}
        actions={(value) => (
          <ManifestButton
            manifest={{ namespace, name: sessionName, prefix: name, spec: buildSpec(settings, value) }}
          />
        )}
      >
        <details className="group rounded-md border" open={nameProblem !== null || undefined}>
          <FoldSummary title={strings.more} />
          <div className="grid gap-4 border-t px-3 py-3 sm:grid-cols-2">
            <div className="space-y-1.5">
              <Label htmlFor="session-name">{strings.name}</Label>
              <Input
                id="session-name"
                value={sessionName}
                autoComplete="off"
                spellCheck={false}
                className="font-mono"
                aria-invalid={nameProblem !== null || undefined}
                aria-describedby="session-name-hint"
                onChange={({ target }) => setSessionName(target.value.trim())}
              />
              <p
                id="session-name-hint"
                className={
                  nameProblem === null ? 'text-muted-foreground text-xs' : 'text-destructive text-xs'
                }
              >
                {nameProblem === null ? strings.nameHint : showLine(nameProblem)}
              </p>
            </div>
            <div className="space-y-1.5">
              <Label htmlFor="session-display-name">{strings.displayName}</Label>
              <Input
                id="session-display-name"
                value={displayName}
                autoComplete="off"
                maxLength={256}
                onChange={({ target }) => setDisplayName(target.value)}
              />
            </div>
            <label
              htmlFor="session-conversation"
              className="flex items-start gap-2 text-[13px] sm:col-span-2"
            >
              <Checkbox
                id="session-conversation"
                className="mt-0.5"
                checked={asConversation}
                onChange={({ target }) => setConversation(target.checked)}
              />
              <span>
                {strings.conversation}
                <span className="text-muted-foreground block text-xs">{strings.conversationHint}</span>
              </span>
            </label>
          </div>
        </details>
      </ValueForm>
    </div>
  );
}

/** Config and context: offered where something is known of them, or the session before gave any. */
function useSettings(definition: JsonObject, schemas: JsonObject, source: JsonObject | null, draft: string) {
  const [rules] = useState(() => ({
    config: readConfigRules(schemas['config'], definition),
    context: readContextRules(schemas['context'], definition),
  }));
  const [before] = useState(() => ({
    config: source?.['config'] === undefined ? undefined : toForm(source['config']),
    context: source?.['context'] === undefined ? undefined : toForm(source['context']),
  }));
  const config = useValue({
    ...rules.config,
    initial: before.config,
    draft: `${draft}#config`,
    at: '/spec/config',
    idPrefix: 'config',
  });
  const { check } = rules.context;
  const context = useValue({
    ...rules.context,
    check: useCallback((value: FormValue | undefined) => check(value, config.sent), [check, config.sent]),
    initial: before.context,
    draft: `${draft}#context`,
    at: '/spec/context',
    idPrefix: 'context',
  });
  const isOffered = (key: 'config' | 'context') => isMembers(schemas[key]) || before[key] !== undefined;
  const { isNeeded } = rules.context;
  const words = strings.settings;
  const further: FurtherValue[] = [
    ...(isOffered('context')
      ? [{ state: context, title: words.context, hint: words.contextHint, isNeeded }]
      : []),
    ...(isOffered('config')
      ? [{ state: config, title: words.config, hint: words.configHint, isNeeded: false }]
      : []),
  ];
  return {
    further,
    config: isOffered('config') ? config.sent : undefined,
    context: isOffered('context') ? context.sent : undefined,
  };
}

/** Returns why a workflow is not ready; null where it is, or nothing is known. */
function findUnready(definition: JsonObject): string | null {
  const conditions = asObject(definition['status'])?.['conditions'];
  if (!Array.isArray(conditions)) return null;
  const ready = conditions.map((each) => asObject(each) ?? {}).find((each) => each['type'] === 'Ready');
  if (ready === undefined || ready['status'] !== 'False') return null;
  const { message, reason } = ready;
  return typeof message === 'string' && message !== '' ? message : typeof reason === 'string' ? reason : '';
}
