/** What is shown in place of a page. */
import type { ErrorComponentProps } from '@tanstack/react-router';
import { Link, useRouter } from '@tanstack/react-router';
import { Compass, RefreshCw, TriangleAlert } from 'lucide-react';
import { Problem } from '@/api';
import { EmptyState } from '@/components/EmptyState';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Skeleton } from '@/components/ui/skeleton';
import { strings } from '@/strings/app';

export function Loading() {
  return (
    <div role="status" aria-label={strings.loading} className="space-y-3 p-6">
      <Skeleton className="h-5 w-40" />
      <Skeleton className="h-4 w-full max-w-xl" />
      <Skeleton className="h-4 w-full max-w-md" />
    </div>
  );
}

export function NotFound() {
  return (
    <main>
      <EmptyState
        isPage
        icon={Compass}
        title={strings.notFoundTitle}
        action={
          <Button asChild variant="outline">
            <Link to="/sessions">{strings.goToSessions}</Link>
          </Button>
        }
      >
        {strings.notFound}
      </EmptyState>
    </main>
  );
}

/** A page's file that is not there any more: the gateway serves a newer console than this page is of. */
function isOutdated(error: unknown): boolean {
  return (
    error instanceof Error &&
    /dynamically imported module|Importing a module script failed|Unable to preload CSS/i.test(error.message)
  );
}

export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  if (error instanceof Problem) {
    return (
      <div className="p-6">
        <ProblemPanel
          error={error}
          onRetry={() => {
            reset();
            void router.invalidate();
          }}
        />
      </div>
    );
  }
  const outdated = isOutdated(error);
  return (
    <EmptyState
      isPage
      icon={outdated ? RefreshCw : TriangleAlert}
      title={outdated ? strings.newVersionTitle : strings.failedTitle}
      action={
        <Button
          variant="outline"
          onClick={() => {
            window.location.reload();
          }}
        >
          {strings.reload}
        </Button>
      }
    >
      <p>{outdated ? strings.newVersion : strings.failed}</p>
      {!outdated && (
        <p className="mt-2 font-mono text-xs">{error instanceof Error ? error.message : String(error)}</p>
      )}
    </EmptyState>
  );
}
