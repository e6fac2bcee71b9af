import { Link } from '@tanstack/react-router';
import type { LucideIcon } from 'lucide-react';
import type { Rights } from '@/api';
import { Button } from '@/components/ui/button';
import { strings } from '@/strings/workflows';
import { CLUSTER, type Definition } from './definitions';

interface StartButtonProps {
  definition: Definition;
  /** Where the session would be; empty where none is chosen yet. */
  namespace: string;
  /** Undefined until they are known: nothing is refused before that. */
  rights: Rights | undefined;
  icon: LucideIcon;
}

/** Leads to the form of a new session, where that can start one. */
export function StartButton({ definition, namespace, rights, icon: Icon }: StartButtonProps) {
  const isAllowed = rights?.sessions.includes('create') ?? true;
  const why =
    definition.readiness !== 'ready'
      ? definition.why || strings.checking
      : namespace === ''
        ? strings.chooseTitle
        : isAllowed
          ? undefined
          : strings.mayNotStart(namespace);
  if (why !== undefined) {
    return (
      <Button variant="outline" size="sm" disabled title={why} className="relative z-10">
        <Icon aria-hidden />
        {strings.start}
      </Button>
    );
  }
  const workflow = definition.namespace === CLUSTER ? `-.${definition.name}` : definition.name;
  return (
    <Button asChild variant="outline" size="sm" className="relative z-10">
      <Link
        to="/new/$namespace/$workflow"
        params={{ namespace, workflow }}
        aria-label={strings.startOne(definition.displayName || definition.name)}
      >
        <Icon aria-hidden />
        {strings.start}
      </Link>
    </Button>
  );
}
