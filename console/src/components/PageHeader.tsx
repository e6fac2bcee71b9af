import type { ReactNode } from 'react';

/** What page this is, in the one heading of its level, and what can be done on it. */
export function PageHeader({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <header className="flex min-h-13 flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b px-4 py-2.5 sm:px-6">
      <h1 className="min-w-0 truncate text-[15px] font-semibold tracking-tight">{title}</h1>
      {children !== undefined && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </header>
  );
}
