import { X } from 'lucide-react';
import { type ReactNode, useEffect, useId, useRef } from 'react';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';
import { Button } from './button';

export interface DialogProps {
  isOpen: boolean;
  onClose: () => void;
  title: ReactNode;
  description?: ReactNode;
  children?: ReactNode;
  className?: string;
}

/**
 * The browser's own modal dialog: focus stays in it and goes back afterwards, Escape closes it.
 *
 * It needs no style sheet that a library would write into the page, which its policy refuses.
 */
export function Dialog({ isOpen, onClose, title, description, children, className }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    if (dialog === null) return;
    if (isOpen && !dialog.open) dialog.showModal();
    if (!isOpen && dialog.open) dialog.close();
  }, [isOpen]);
  return (
    <dialog
      ref={element}
      aria-labelledby={`${id}-title`}
      aria-describedby={description === undefined ? undefined : `${id}-description`}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
      className={cn(
        'bg-popover text-popover-foreground m-auto max-h-[85dvh] w-[min(32rem,calc(100vw-2rem))] rounded-xl border p-0 shadow-2xl',
        className,
      )}
    >
      {isOpen && (
        <div className="p-5">
          <div className="mb-3 flex items-start justify-between gap-4">
            <div>
              <h2 id={`${id}-title`} className="text-base font-semibold">
                {title}
              </h2>
              {description !== undefined && (
                <p id={`${id}-description`} className="text-muted-foreground mt-1 text-[13px]">
                  {description}
                </p>
              )}
            </div>
            <Button variant="ghost" size="icon-sm" aria-label={strings.close} onClick={onClose}>
              <X aria-hidden />
            </Button>
          </div>
          {children}
        </div>
      )}
    </dialog>
  );
}

export function DialogFooter({ children }: { children: ReactNode }) {
  return <div className="mt-5 flex flex-wrap justify-end gap-2">{children}</div>;
}
