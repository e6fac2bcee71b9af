import { writeJson } from '@/api';
import { CopyButton } from '@/components/CopyLine';
import { cn } from '@/lib/cn';
import { showText } from '@/lib/text';

/** A value as JSON, every digit of it. */
export function JsonBlock({
  value,
  label,
  className,
}: {
  value: unknown;
  label: string;
  className?: string;
}) {
  const text = writeJson(value, 2);
  return (
    <div className={cn('bg-muted/60 relative rounded-md border', className)}>
      <div className="absolute top-1 right-1">
        <CopyButton text={text} />
      </div>
      {/* It scrolls: focus lets the keyboard do that. */}
      <pre
        tabIndex={0}
        role="region"
        aria-label={label}
        className="max-h-96 overflow-auto p-3 pr-10 font-mono text-xs leading-5"
      >
        {showText(text)}
      </pre>
    </div>
  );
}
