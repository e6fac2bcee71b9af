/** What people typed and have not sent, over a reload of the page: in this tab alone, without passwords. */
import { parseJson, writeJson } from '@/api';
import { type FormValue, toForm } from './numbers';

const PREFIX = 'agentic.draft.';

/** Returns the draft that was kept under a name; null without one. */
export function readDraft(name: string): FormValue | null {
  try {
    const text = sessionStorage.getItem(PREFIX + name);
    return text === null ? null : toForm(parseJson(text));
  } catch {
    return null;
  }
}

/** Keeps a draft; a browser that takes none is no fault. */
export function keepDraft(name: string, value: FormValue): void {
  try {
    sessionStorage.setItem(PREFIX + name, writeJson(value));
  } catch {
    dropDraft(name);
  }
}

export function dropDraft(name: string): void {
  try {
    sessionStorage.removeItem(PREFIX + name);
  } catch {
    // There is none then.
  }
}

/** Forgets all drafts: whoever comes next to this tab does not see them. */
export function dropAllDrafts(): void {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  } catch {
    // There are none then.
  }
}
