/** Keys that do something wherever the focus is, other than in a field that takes them. */
import { useLayoutEffect, useRef } from 'react';

/** One key (`j`, `?`), or two after another with a space between (`g i`). */
export type Shortcuts = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const SEQUENCE_MS = 1500;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  )
    return true;
  return (
    target instanceof HTMLInputElement &&
    !['checkbox', 'radio', 'button', 'submit', 'range'].includes(target.type)
  );
}

const OPEN = 'dialog[open], [role="menu"], [role="listbox"]';

/** Listen for keys as long as the component is shown. */
export function useShortcuts(shortcuts: Shortcuts): void {
  // Before anybody sees the page: a key that is pressed for what is shown finds that, and not what was before it.
  const current = useRef(shortcuts);
  useLayoutEffect(() => {
    current.current = shortcuts;
  });
  useLayoutEffect(() => {
    let first: { key: string; at: number } | null = null;
    const listen = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing)
        return;
      if (isTyping(event.target) || document.querySelector(OPEN) !== null) return;
      const begun = first !== null && event.timeStamp - first.at < SEQUENCE_MS ? first.key : null;
      first = null;
      const found =
        (begun === null ? undefined : current.current[`${begun} ${event.key}`]) ?? current.current[event.key];
      if (found !== undefined) {
        event.preventDefault();
        found(event);
      } else if (Object.keys(current.current).some((each) => each.startsWith(`${event.key} `))) {
        first = { key: event.key, at: event.timeStamp };
      }
    };
    window.addEventListener('keydown', listen);
    return () => {
      window.removeEventListener('keydown', listen);
    };
  }, []);
}
