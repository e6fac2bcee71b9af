import { CircleAlert, Lock, RotateCw, SearchX, Unplug } from 'lucide-react';
import { Problem } from '@/api';
import { CopyLine } from '@/components/CopyLine';
import { Shown } from '@/components/Shown';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';

function describe(error: unknown) {
  const kind = error instanceof Problem ? error.kind : '';
  switch (kind) {
    case 'forbidden':
      return { icon: Lock, title: strings.problems.forbidden, remedy: strings.remedies.forbidden };
    case 'not-found':
    case 'gone':
      return { icon: SearchX, title: strings.problems.notFound, remedy: strings.remedies.notFound };
    case 'network':
      return { icon: Unplug, title: strings.problems.network, remedy: strings.remedies.network };
    case 'unavailable':
    case 'timeout':
    case 'too-many-requests':
      return { icon: Unplug, title: strings.problems.unavailable, remedy: strings.remedies.unavailable };
    default:
      return { icon: CircleAlert, title: strings.problems.other, remedy: '' };
  }
}

/** A refusal: what it is, what the gateway says of it, and what to do. A missing right is named by the gateway. */
export function ProblemPanel({
  error,
  onRetry,
  namespace = '',
  className,
}: {
  error: unknown;
  onRetry?: () => void;
  namespace?: string;
  className?: string;
}) {
  const { icon: Icon, title, remedy } = describe(error);
  const isForbidden = error instanceof Problem && error.kind === 'forbidden';
  const detail = error instanceof Error ? error.message : String(error);
  return (
    <div role="alert" className={cn('bg-card flex gap-3 rounded-lg border p-4 shadow-xs', className)}>
      <Icon aria-hidden className="text-destructive mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 space-y-2 text-[13px] leading-5">
        <p className="font-semibold">{title}</p>
        <p className="break-words">
          <Shown text={detail} />
        </p>
        {remedy !== '' && <p className="text-muted-foreground">{remedy}</p>}
        {isForbidden && <CopyLine text={strings.remedies.forbiddenCommand(namespace)} className="w-fit" />}
        {onRetry && (
          <Button variant="outline" size="sm" onClick={onRetry}>
            <RotateCw aria-hidden />
            {strings.retry}
          </Button>
        )}
      </div>
    </div>
  );
}
