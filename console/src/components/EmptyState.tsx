import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { CopyLine } from './CopyLine';

/** Nothing to show: why, and what to do next, with the command where there is one. */
export function EmptyState({
  icon: Icon,
  title,
  children,
  command,
  action,
  isPage = false,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  command?: string;
  action?: ReactNode;
  /** Whether it is all that the page has, and so its heading is the page's. */
  isPage?: boolean;
}) {
  const Heading = isPage ? 'h1' : 'h2';
  return (
    <div className="mx-auto flex max-w-lg flex-col items-center px-4 py-16 text-center">
      <span className="bg-muted text-muted-foreground mb-4 grid size-10 place-items-center rounded-lg border">
        <Icon aria-hidden className="size-5" />
      </span>
      <Heading className="text-sm font-semibold">{title}</Heading>
      {children !== undefined && (
        <div className="text-muted-foreground mt-1.5 text-[13px] leading-5">{children}</div>
      )}
      {command !== undefined && <CopyLine text={command} className="mt-4" />}
      {action !== undefined && <div className="mt-4 flex gap-2">{action}</div>}
    </div>
  );
}
