import { Check } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import type { ComponentProps, ReactNode } from 'react';
import { cn } from '@/lib/cn';

/**
 * A menu, where its button is in the page, so that it is in the same landmark.
 *
 * Never modal: a modal one writes a style sheet into the page, which its policy refuses.
 */
export function Menu({
  trigger,
  children,
  align = 'start',
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: 'start' | 'end';
}) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Content
        align={align}
        sideOffset={4}
        collisionPadding={8}
        className="bg-popover text-popover-foreground z-50 max-h-80 min-w-44 overflow-y-auto rounded-lg border p-1 shadow-lg"
      >
        {children}
      </DropdownMenu.Content>
    </DropdownMenu.Root>
  );
}

const itemClasses =
  'data-[highlighted]:bg-accent flex items-center gap-2 rounded-md px-2 py-1.5 text-[13px] outline-none select-none data-[disabled]:opacity-50 [&_svg]:size-3.5';

export function MenuItem({ className, ...props }: ComponentProps<typeof DropdownMenu.Item>) {
  return <DropdownMenu.Item className={cn(itemClasses, className)} {...props} />;
}

export function MenuChoice({
  isChosen,
  children,
  ...props
}: ComponentProps<typeof DropdownMenu.Item> & { isChosen: boolean }) {
  return (
    <DropdownMenu.CheckboxItem checked={isChosen} className={cn(itemClasses, 'pr-3')} {...props}>
      <span className="grid size-3.5 place-items-center">
        <DropdownMenu.ItemIndicator>
          <Check aria-hidden />
        </DropdownMenu.ItemIndicator>
      </span>
      {children}
    </DropdownMenu.CheckboxItem>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  return (
    <DropdownMenu.Label className="text-muted-foreground px-2 py-1 text-xs">{children}</DropdownMenu.Label>
  );
}

export function MenuSeparator() {
  return <DropdownMenu.Separator className="bg-border -mx-1 my-1 h-px" />;
}
