/** Where the console is served: everything that is asked for is below this path, whatever a proxy puts before it. */

function readRoot(): string {
  const content = document.querySelector<HTMLMetaElement>('meta[name="agentic-root"]')?.content ?? '/';
  // `new URL` against the address as it was when the page came: later ones have another depth.
  const path = new URL(content, window.location.href).pathname;
  return path.endsWith('/') ? path : `${path}/`;
}

/** The path of the console's root, with a slash at its end: `/`, or `/agents/`. */
export const ROOT = readRoot();

/** Return the address of a path of the gateway (`/api/v1/…`), below the root. */
export function addressOf(path: string): string {
  return ROOT + path.replace(/^\/+/, '');
}

/** Name the icon by its whole path: the browser looks for it again at each address, and these differ in depth. */
export function placeIcon(): void {
  document.querySelector('link[rel=icon]')?.setAttribute('href', addressOf('icon.svg'));
}
