import { useEffect, useRef, useState } from 'react';

/**
 * A text that is typed: shown at once, told to `onChange` once the person pauses.
 *
 * A `value` from outside (an address, a cleared filter) takes its place.
 */
export function useDebounced(value: string, onChange: (value: string) => void, milliseconds = 300) {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  const tell = useRef(onChange);
  useEffect(() => {
    tell.current = onChange;
  });
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => {
      tell.current(typed);
    }, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  }, [typed, value, milliseconds]);
  return [typed, setTyped] as const;
}
