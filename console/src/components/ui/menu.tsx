import { Check } from 'lucide-react';
import { Slot, type DropdownMenu } from 'radix-ui';
import { type ComponentProps, type ReactNode, useId, useRef, useState } from 'react';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';
import { PartFailure, makePart } from '../Part';
import { useMenuParts } from './menu-parts';

/** Where nothing cuts it off, whatever button it is of. */
function Notice({ children }: { children: ReactNode }) {
  return (
    <div className="bg-popover text-popover-foreground fixed inset-x-3 bottom-16 z-50 rounded-lg border shadow-lg md:right-auto md:w-72">
      {children}
    </div>
  );
}

/** Where it is placed, and how it is worked with, is more than the rest of the page's frame: it comes when it is needed. */
const MenuContent = makePart(async () => (await import('./menu-content')).MenuContent, {
  waiting: ({ isOpen }) =>
    isOpen && (
      <Notice>
        <p role="status" className="text-muted-foreground p-3 text-[13px]">
          {strings.loading}
        </p>
      </Notice>
    ),
  failed: ({ isOpen }, part) =>
    isOpen && (
      <Notice>
        <PartFailure part={part} />
      </Notice>
    ),
});

/**
 * A menu, where its button is in the page, so that it is in the same landmark.
 *
 * Never modal: a modal one writes a style sheet into the page, which its policy refuses.
 */
export function Menu({
  trigger,
  children,
  align = 'start',
  className,
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: 'start' | 'end';
  className?: string;
}) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const [isOpen, setOpen] = useState(false);
  const [isWanted, setWanted] = useState(false);
  const want = (): void => {
    setWanted(true);
  };
  return (
    <div
      className={cn('relative flex min-w-0', className)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') setOpen(false);
      }}
    >
      <Slot.Root
        id={id}
        ref={button}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        onPointerEnter={want}
        onFocus={want}
        onClick={() => {
          want();
          setOpen(!isOpen);
        }}
        onKeyDown={(event) => {
          if (event.key !== 'ArrowDown') return;
          event.preventDefault();
          setOpen(true);
        }}
      >
        {trigger}
      </Slot.Root>
      {isWanted && (
        <MenuContent isOpen={isOpen} onOpenChange={setOpen} button={button} labelId={id} align={align}>
          {children}
        </MenuContent>
      )}
    </div>
  );
}

const itemClasses =
  'data-[highlighted]:bg-accent flex items-center gap-2 rounded-md px-2 py-1.5 text-[13px] outline-none select-none data-[disabled]:opacity-50 [&_svg]:size-3.5';

export function MenuItem({ className, ...props }: ComponentProps<typeof DropdownMenu.Item>) {
  const { Item } = useMenuParts();
  return <Item className={cn(itemClasses, className)} {...props} />;
}

export function MenuChoice({
  isChosen,
  children,
  ...props
}: ComponentProps<typeof DropdownMenu.Item> & { isChosen: boolean }) {
  const { CheckboxItem, ItemIndicator } = useMenuParts();
  return (
    <CheckboxItem checked={isChosen} className={cn(itemClasses, 'pr-3')} {...props}>
      <span className="grid size-3.5 place-items-center">
        <ItemIndicator>
          <Check aria-hidden />
        </ItemIndicator>
      </span>
      {children}
    </CheckboxItem>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  const { Label } = useMenuParts();
  return <Label className="text-muted-foreground px-2 py-1 text-xs">{children}</Label>;
}

export function MenuSeparator() {
  const { Separator } = useMenuParts();
  return <Separator className="bg-border -mx-1 my-1 h-px" />;
}
