/**
 * Return the path within the console to go to after signing in.
 *
 * Whoever makes a link chooses this text: anything but a path of ours, such as another site's address, becomes the
 * session list. Paths begin with one slash; two of them, or a backslash, would name another host.
 */
export function readReturn(given: string | undefined): string {
  const isPath = given !== undefined && /^\/(?![/\\])[\x21-\x7e]*$/.test(given) && !given.includes('\\');
  return isPath && !given.startsWith('/sign-in') ? given : '/sessions';
}
