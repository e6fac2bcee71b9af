import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { CircleAlert, CircleCheck, CircleDashed, List, Play } from 'lucide-react';
import type { ReactNode } from 'react';
import { type DefinitionSchemas, api } from '@/api';
import { Loading } from '@/app/errors';
import { useTitle } from '@/app/title';
import { readLastNamespace, useRights } from '@/auth/namespaces';
import { CopyLine } from '@/components/CopyLine';
import { JsonBlock } from '@/components/JsonBlock';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Readiness } from '@/components/Readiness';
import { Shown } from '@/components/Shown';
import { Time } from '@/components/Time';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card, CardContent, CardHeader, CardTitle } from '@/components/ui/card';
import { showLine } from '@/lib/text';
import { CLUSTER, type Check, type Definition, readDefinition } from '@/pages/workflows/definitions';
import { StartButton } from '@/pages/workflows/StartButton';
import { strings } from '@/strings/workflows';
import { WorkflowGraph } from './WorkflowGraph';

const INTERVAL_MS = 10_000;

export default function WorkflowPage(): ReactNode {
  const { namespace, name } = useParams({ from: '/shell/workflows/$namespace/$name' });
  const definition = useQuery({
    queryKey: ['workflow', namespace, name],
    queryFn: async ({ signal }) =>
      readDefinition(
        namespace === CLUSTER
          ? await api.get('/api/v1/cluster-workflow-definitions/{name}', { path: { name }, signal })
          : await api.get('/api/v1/workflow-definitions/{namespace}/{name}', {
              path: { namespace, name },
              signal,
            }),
      ),
    refetchInterval: INTERVAL_MS,
  });
  const schemas = useQuery({
    queryKey: ['workflow', namespace, name, 'schemas'],
    queryFn: ({ signal }): Promise<DefinitionSchemas> =>
      namespace === CLUSTER
        ? api.get('/api/v1/cluster-workflow-definitions/{name}/schemas', { path: { name }, signal })
        : api.get('/api/v1/workflow-definitions/{namespace}/{name}/schemas', {
            path: { namespace, name },
            signal,
          }),
  });
  const target = namespace === CLUSTER ? readLastNamespace() : namespace;
  const rights = useRights(target);
  const found = definition.data;
  const title = found?.displayName || name;
  useTitle(showLine(title));
  return (
    <>
      <PageHeader title={<Shown text={title} />}>
        <Button asChild variant="ghost" size="sm">
          <Link to="/sessions" search={{ ...(target !== '' && { namespace: target }), workflow: name }}>
            <List aria-hidden />
            {strings.sessions}
          </Link>
        </Button>
        {found && <StartButton definition={found} namespace={target} rights={rights} icon={Play} />}
      </PageHeader>
      {definition.error !== null && (
        <ProblemPanel
          error={definition.error}
          onRetry={() => void definition.refetch()}
          namespace={target}
          className="m-4 sm:mx-6"
        />
      )}
      {found === undefined ? (
        definition.isPending && <Loading />
      ) : (
        <div className="grid gap-4 p-4 sm:p-6 xl:grid-cols-[minmax(0,1.6fr)_minmax(20rem,1fr)]">
          <div className="min-w-0 space-y-4">
            <About definition={found} />
            <Card>
              <CardHeader>
                <CardTitle>{strings.graph}</CardTitle>
              </CardHeader>
              <CardContent className="p-0">
                <WorkflowGraph namespace={namespace} name={name} />
              </CardContent>
            </Card>
            {schemas.data && <Schemas schemas={schemas.data} />}
          </div>
          <div className="min-w-0 space-y-4">
            <Checks checks={found.checks} />
            <Facts definition={found} />
            <Card>
              <CardHeader>
                <CardTitle>{strings.command}</CardTitle>
              </CardHeader>
              <CardContent>
                <CopyLine text={strings.runCommand(target, name)} />
              </CardContent>
            </Card>
          </div>
        </div>
      )}
    </>
  );
}

function About({ definition }: { definition: Definition }) {
  const { name, description, version, tags, readiness, why } = definition;
  return (
    <section className="space-y-2">
      <div className="flex flex-wrap items-center gap-2">
        <Readiness value={readiness} />
        <span className="text-muted-foreground font-mono text-xs">{name}</span>
        {version !== '' && (
          <span className="text-muted-foreground text-xs">
            <Shown text={strings.version(version)} />
          </span>
        )}
        {tags.map((tag) => (
          <Link key={tag} to="/workflows" search={{ q: tag }}>
            <Badge>
              <Shown text={tag} />
            </Badge>
          </Link>
        ))}
      </div>
      {description !== '' && (
        <p className="max-w-3xl text-[13px] leading-5 whitespace-pre-wrap">
          <Shown text={description} isBlock />
        </p>
      )}
      {why !== '' && (
        <p className="border-destructive/30 bg-destructive/5 text-destructive rounded-md border px-3 py-2 text-[13px] break-words">
          <Shown text={why} isBlock />
        </p>
      )}
    </section>
  );
}

function Checks({ checks }: { checks: readonly Check[] }) {
  return (
    <Card>
      <CardHeader>
        <CardTitle>{strings.checks}</CardTitle>
      </CardHeader>
      <ul className="divide-y">
        {checks.map((check) => {
          const Icon =
            check.status === 'True' ? CircleCheck : check.status === 'False' ? CircleAlert : CircleDashed;
          const tone =
            check.status === 'True'
              ? 'text-success'
              : check.status === 'False'
                ? 'text-destructive'
                : 'text-muted-foreground';
          return (
            <li key={check.type} className="flex gap-2.5 px-4 py-2.5">
              <Icon aria-label={check.status} className={`${tone} mt-0.5 size-4 shrink-0`} />
              <div className="min-w-0 text-[13px]">
                <p className="font-medium">
                  <Shown text={check.type} />{' '}
                  <span className="text-muted-foreground text-xs font-normal">
                    <Shown text={check.reason} /> · <Time at={check.at} />
                  </span>
                </p>
                {check.message !== '' && (
                  <p className="text-muted-foreground mt-0.5 text-xs break-words">
                    <Shown text={check.message} />
                  </p>
                )}
              </div>
            </li>
          );
        })}
        {checks.length === 0 && (
          <li className="text-muted-foreground px-4 py-3 text-[13px]">{strings.checking}</li>
        )}
      </ul>
    </Card>
  );
}

function Facts({ definition }: { definition: Definition }) {
  const { image, facts } = definition;
  const rows = [
    [strings.facts.image, image],
    [strings.facts.digest, facts.digest],
    [strings.facts.graph, facts.graph],
    [strings.facts.langgraph, facts.langgraph],
    [strings.facts.contract, facts.contract],
    [strings.facts.active, facts.active],
  ].filter(([, value]) => value !== '');
  return (
    <Card>
      <CardHeader>
        <CardTitle>{strings.details}</CardTitle>
      </CardHeader>
      <CardContent>
        <dl className="space-y-2 text-xs">
          {rows.map(([label = '', value = '']) => (
            <div key={label} className="grid grid-cols-[8.5rem_minmax(0,1fr)] gap-2">
              <dt className="text-muted-foreground">{label}</dt>
              <dd className="font-mono break-all">
                <Shown text={value} />
              </dd>
            </div>
          ))}
        </dl>
      </CardContent>
    </Card>
  );
}

function Schemas({ schemas }: { schemas: DefinitionSchemas }) {
  const shown = [
    [strings.input, schemas.input],
    [strings.output, schemas.output],
    [strings.config, schemas.config],
    [strings.context, schemas.context],
  ] as const;
  return (
    <Card>
      <CardHeader>
        <CardTitle>{strings.schemas}</CardTitle>
      </CardHeader>
      <CardContent className="space-y-3">
        {schemas.input === null ? (
          <p className="text-muted-foreground text-[13px]">{strings.noInput}</p>
        ) : (
          !schemas.inputIsDeclared && <p className="text-muted-foreground text-[13px]">{strings.derived}</p>
        )}
        {shown.map(
          ([label, schema], place) =>
            schema !== null &&
            schema !== undefined && (
              <details key={label} open={place === 0}>
                <summary className="mb-1.5 cursor-pointer text-[13px] font-medium">{label}</summary>
                <JsonBlock value={schema} label={label} />
              </details>
            ),
        )}
      </CardContent>
    </Card>
  );
}
