/** Filters under a name, kept in this browser. */
import type { SessionsSearch } from '@/app/search';
import { readSessionsSearch } from '@/app/search';

export interface View {
  name: string;
  search: SessionsSearch;
}

const KEY = 'agentic.views';
const MAX_VIEWS = 50;

/** Return what was kept; what cannot be read, of an older console for instance, is left out. */
export function readViews(): View[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(found)) return [];
    return found.flatMap((each: unknown) => {
      const { name, search } = (each ?? {}) as { name?: unknown; search?: unknown };
      return typeof name === 'string' && name !== '' && typeof search === 'object' && search !== null
        ? [{ name, search: readSessionsSearch(search as Record<string, unknown>) }]
        : [];
    });
  } catch {
    return [];
  }
}

/** Keep a view, in place of one of that name; return all. */
export function saveView(view: View): View[] {
  const views = [...readViews().filter((each) => each.name !== view.name), view].slice(-MAX_VIEWS);
  write(views);
  return views;
}

export function deleteView(name: string): View[] {
  const views = readViews().filter((each) => each.name !== name);
  write(views);
  return views;
}

function write(views: View[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // They last as long as the page then.
  }
}
