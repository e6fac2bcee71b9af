/** What somebody has written and not sent yet, kept over a reload. */

import { useState } from 'react';

const read = (key: string): string => {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
};

function write(key: string, text: string): void {
  try {
    if (text === '') localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // Without storage, or without room in it, the draft lasts as long as the page.
  }
}

/** Returns the draft of a conversation, and how it is changed. */
export function useDraft(uid: string): [string, (text: string) => void] {
  const key = `agentic.chat.${uid}`;
  const [text, setText] = useState(() => read(key));
  return [
    text,
    (changed) => {
      setText(changed);
      write(key, changed);
    },
  ];
}
