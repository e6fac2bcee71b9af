/** Stands for the form library's Markdown: what an author writes in a schema is text, and nothing else. */
import type { ReactNode } from 'react';

export function Markdown({ children }: { children?: ReactNode }) {
  return <>{children}</>;
}
