import { useEffect } from 'react';
import { strings } from '@/strings/app';

let count = 0;
let page = '';

function show(): void {
  const name = page === '' ? strings.product : `${page} · ${strings.product}`;
  document.title = count > 0 ? `(${String(count)}) ${name}` : name;
}

/** Say in the tab how many questions wait. */
export function setQuestionCount(value: number): void {
  count = value;
  show();
}

/** Give the tab the name of a page while that is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    page = title;
    show();
    return () => {
      page = '';
      show();
    };
  }, [title]);
}
