import type { ComponentProps } from 'react';
import { showLine, showText } from '@/lib/text';

/** A text that somebody else wrote: as text alone, with what does not show written out. */
export function Shown({
  text,
  isBlock = false,
  ...props
}: ComponentProps<'span'> & { text: string; isBlock?: boolean }) {
  return (
    <span dir="auto" {...props}>
      {isBlock ? showText(text) : showLine(text)}
    </span>
  );
}
