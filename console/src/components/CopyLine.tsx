import { Check, Copy } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';

/** A button that copies a text. */
export function CopyButton({ text, label = strings.copy }: { text: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => {
      setCopied(false);
    }, 1500);
    return () => {
      clearTimeout(timer);
    };
  }, [isCopied]);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
    });
  };
  return (
    <Button variant="ghost" size="icon-sm" onClick={copy} aria-label={isCopied ? strings.copied : label}>
      {isCopied ? <Check aria-hidden /> : <Copy aria-hidden />}
    </Button>
  );
}

/** A command in one line, to be copied. */
export function CopyLine({ text, className }: { text: string; className?: string }) {
  return (
    <div
      className={cn(
        'bg-muted flex max-w-full items-center gap-1 rounded-md border py-0.5 pr-0.5 pl-3',
        className,
      )}
    >
      {/* It scrolls where it is too long: focus lets the keyboard do that. */}
      <code tabIndex={0} className="overflow-x-auto py-1 font-mono text-xs whitespace-pre">
        {text}
      </code>
      <CopyButton text={text} />
    </div>
  );
}
