import { useQuery } from '@tanstack/react-query';
import { Check, Minus } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { type Theme, applyTheme, readTheme } from '@/app/theme';
import { useTitle } from '@/app/title';
import { useMyself } from '@/auth/myself';
import { rightsQuery, useNamespace } from '@/auth/namespaces';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Shown } from '@/components/Shown';
import { Button } from '@/components/ui/button';
import { Card, CardContent, CardHeader, CardTitle } from '@/components/ui/card';
import { strings as appStrings } from '@/strings/app';
import { strings } from '@/strings/settings';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const SESSION_VERBS = ['list', 'get', 'create', 'patch', 'respond', 'delete'] as const;
const WORKFLOW_VERBS = ['list', 'get', 'create', 'patch', 'delete'] as const;
const PREFIX = 'agentic.';

export default function SettingsPage(): ReactNode {
  useTitle(strings.title);
  const { data: myself } = useMyself();
  const { namespace } = useNamespace(undefined);
  const rights = useQuery(rightsQuery(namespace ?? ''));
  return (
    <>
      <PageHeader title={strings.title} />
      <div className="max-w-3xl space-y-4 p-4 sm:p-6">
        <Section title={strings.you}>
          <dl className="grid grid-cols-[6rem_minmax(0,1fr)] gap-x-4 gap-y-2 text-[13px]">
            <dt className="text-muted-foreground">{strings.username}</dt>
            <dd className="font-mono text-xs leading-5 break-all">
              <Shown text={myself?.username ?? ''} />
            </dd>
            <dt className="text-muted-foreground">{strings.groups}</dt>
            <dd className="font-mono text-xs leading-5 break-all">
              {myself?.groups.map((group) => (
                <div key={group}>
                  <Shown text={group} />
                </div>
              ))}
            </dd>
            <dt className="text-muted-foreground">{strings.cameIn}</dt>
            <dd>{myself && appStrings.signedInBy[myself.via]}</dd>
          </dl>
        </Section>
        <Section title={strings.rights}>
          <p className="text-muted-foreground mb-3 text-[13px]">
            {namespace ? strings.rightsOf(namespace) : strings.chooseNamespace}{' '}
            {namespace && strings.rightsHint}
          </p>
          {rights.error !== null && <ProblemPanel error={rights.error} namespace={namespace ?? ''} />}
          {namespace && rights.data && (
            <dl className="grid grid-cols-[6rem_minmax(0,1fr)] gap-x-4 gap-y-2 text-[13px]">
              <dt className="text-muted-foreground">{strings.sessions}</dt>
              <dd className="flex flex-wrap gap-1.5">
                {SESSION_VERBS.map((verb) => (
                  <Right
                    key={verb}
                    name={strings.verbs[verb]}
                    isAllowed={rights.data.sessions.includes(verb)}
                  />
                ))}
              </dd>
              <dt className="text-muted-foreground">{strings.workflows}</dt>
              <dd className="flex flex-wrap gap-1.5">
                {WORKFLOW_VERBS.map((verb) => (
                  <Right
                    key={verb}
                    name={strings.verbs[verb]}
                    isAllowed={rights.data.workflows.includes(verb)}
                  />
                ))}
              </dd>
              <dt className="text-muted-foreground">{strings.logs}</dt>
              <dd>
                <Right name={strings.verbs.get} isAllowed={rights.data.logs} />
              </dd>
              <dt className="text-muted-foreground">{strings.audit}</dt>
              <dd>
                <Right name={strings.verbs.get} isAllowed={rights.data.audit} />
              </dd>
            </dl>
          )}
        </Section>
        <Appearance />
        <Section title={strings.times}>
          <p className="text-[13px]">{strings.timesAre(Intl.DateTimeFormat().resolvedOptions().timeZone)}</p>
        </Section>
        <Kept />
      </div>
    </>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card>
      <CardHeader>
        <CardTitle>{title}</CardTitle>
      </CardHeader>
      <CardContent>{children}</CardContent>
    </Card>
  );
}

function Right({ name, isAllowed }: { name: string; isAllowed: boolean }) {
  const Icon = isAllowed ? Check : Minus;
  return (
    <span
      className={`inline-flex items-center gap-1 rounded border px-1.5 py-0.5 text-xs ${isAllowed ? 'text-success' : 'text-muted-foreground border-dashed'}`}
    >
      <Icon aria-label={isAllowed ? strings.allowed : strings.denied} className="size-3" />
      {name}
    </span>
  );
}

function Appearance() {
  const [theme, setTheme] = useState(readTheme);
  return (
    <Section title={strings.appearance}>
      <fieldset className="flex flex-wrap gap-5 text-[13px]">
        <legend className="sr-only">{appStrings.theme}</legend>
        {THEMES.map((each) => (
          <label key={each} className="flex items-center gap-2">
            <input
              type="radio"
              name="theme"
              className="accent-primary size-4"
              checked={theme === each}
              onChange={() => {
                setTheme(each);
                applyTheme(each);
              }}
            />
            {appStrings.themes[each]}
          </label>
        ))}
      </fieldset>
    </Section>
  );
}

function Kept() {
  const [isForgotten, setForgotten] = useState(false);
  const forget = (): void => {
    // What signs the person in is in the session storage, and stays.
    Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX))
      .forEach((key) => {
        localStorage.removeItem(key);
      });
    applyTheme('system');
    setForgotten(true);
  };
  return (
    <Section title={strings.keptHere}>
      <p className="text-muted-foreground mb-3 text-[13px]">{strings.keptHint}</p>
      <div className="flex items-center gap-3">
        <Button variant="outline" onClick={forget}>
          {strings.forget}
        </Button>
        <span role="status" className="text-muted-foreground text-[13px]">
          {isForgotten && strings.forgotten}
        </span>
      </div>
    </Section>
  );
}
