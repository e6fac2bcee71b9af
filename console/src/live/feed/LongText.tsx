/** A text of any length, exactly as it is but for what does not show; a long one is cut until it is asked for. */

import { useState } from 'react';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { showText } from '@/lib/text';
import { strings } from '@/strings/live';

const SHORT = 4_000;
/** More than that makes a browser slow, in one element. */
const LONGEST = 2_000_000;

export function LongText({ text, className }: { text: string; className?: string }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? text.slice(0, LONGEST) : text.slice(0, SHORT);
  return (
    <div className={className}>
      <pre
        tabIndex={0}
        className={cn('max-h-96 overflow-auto font-mono text-xs leading-5 break-words whitespace-pre-wrap')}
      >
        {showText(shown)}
        {shown.length < text.length && '…'}
      </pre>
      {!isWhole && text.length > SHORT && (
        <Button
          variant="link"
          size="sm"
          className="mt-1 h-auto px-0"
          onClick={() => {
            setWhole(true);
          }}
        >
          {strings.feed.more(text.length)}
        </Button>
      )}
    </div>
  );
}
