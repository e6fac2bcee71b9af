/**
 * A part of the console that is fetched when it is needed first, and fetched again where that failed.
 *
 * React's `lazy` keeps the first failure for good, and the router's own way loads the whole page anew, which a lost
 * connection makes a page of the browser's. Browsers ask again for a module that could not be fetched.
 */

import { ROOT } from '@/app/base';
import { computePause } from './backoff';

export interface Fetched<T> {
  /** Undefined until it is there. */
  readonly value: T | undefined;
  readonly isFetching: boolean;
  /** Whether the last attempt failed. */
  readonly isFailed: boolean;
  /** Whether the gateway serves another console by now, whose parts have other names. */
  readonly isOutdated: boolean;
}

export class Part<T> {
  private state: Fetched<T> = { value: undefined, isFetching: false, isFailed: false, isOutdated: false };
  private failures = 0;
  private running: Promise<void> | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly importer: () => Promise<T>;

  constructor(importer: () => Promise<T>) {
    this.importer = importer;
  }

  readonly read = (): Fetched<T> => this.state;

  /** Fetches it unless it is there; never rejects. */
  readonly load = (): Promise<void> => {
    if (this.state.value !== undefined) return Promise.resolve();
    clearTimeout(this.timer);
    this.running ??= this.fetch().finally(() => {
      this.running = null;
    });
    return this.running;
  };

  private readonly tryNow = (): void => {
    void this.load();
  };

  /** Fetches it, again and again, as long as somebody waits for it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) {
      window.addEventListener('online', this.tryNow);
      this.tryNow();
    }
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      window.removeEventListener('online', this.tryNow);
      clearTimeout(this.timer);
    };
  };

  private async fetch(): Promise<void> {
    this.change({ isFetching: true });
    try {
      await restoreStyles();
      this.change({ value: await this.importer(), isFetching: false, isFailed: false });
    } catch {
      this.change({ isFetching: false, isFailed: true });
      void isReplaced().then((isOutdated) => {
        this.change({ isOutdated });
      });
      this.failures += 1;
      if (this.listeners.size > 0) {
        this.timer = setTimeout(() => void this.load(), computePause(this.failures, Math.random()));
      }
    }
  }

  private change(changed: Partial<Fetched<T>>): void {
    this.state = { ...this.state, ...changed };
    for (const listener of this.listeners) listener();
  }
}

/** Stylesheets that could not be fetched, by their addresses. */
const broken = new Map<string, HTMLLinkElement>();
let restoring: Promise<unknown> | null = null;

document.addEventListener(
  'error',
  ({ target }) => {
    if (target instanceof HTMLLinkElement && target.rel === 'stylesheet') broken.set(target.href, target);
  },
  true,
);

/**
 * Fetches what failed of the styles again.
 *
 * Vite asks once for the styles of a module, and takes them as there at the next attempt whatever became of them: the
 * part would be drawn without its styles.
 */
function restoreStyles(): Promise<unknown> {
  restoring ??= Promise.all([...broken].map(([href, link]) => restoreStyle(href, link))).finally(() => {
    restoring = null;
  });
  return restoring;
}

function restoreStyle(href: string, link: HTMLLinkElement): Promise<void> {
  return new Promise((resolve, reject) => {
    const fresh = link.cloneNode() as HTMLLinkElement;
    fresh.onload = () => {
      broken.delete(href);
      resolve();
    };
    fresh.onerror = () => {
      reject(new Error(`no styles from ${href}`));
    };
    link.replaceWith(fresh);
  });
}

/** Returns whether the gateway serves a page that begins with another script than this one did. */
async function isReplaced(): Promise<boolean> {
  const script = document.querySelector<HTMLScriptElement>('script[type=module][src]');
  const name = script?.src.split('/').pop() ?? '';
  try {
    const page = await fetch(ROOT, { headers: { Accept: 'text/html' }, cache: 'no-store' });
    return page.ok && name !== '' && !(await page.text()).includes(name);
  } catch {
    return false;
  }
}
