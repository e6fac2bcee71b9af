import { DropdownMenu } from 'radix-ui';
import { type ReactNode, type RefObject, useRef } from 'react';
import { type MenuParts, MenuPartsContext } from './menu-parts';

export interface MenuContentProps {
  readonly isOpen: boolean;
  readonly onOpenChange: (isOpen: boolean) => void;
  readonly button: RefObject<HTMLButtonElement | null>;
  readonly labelId: string;
  readonly align: 'start' | 'end';
  readonly children: ReactNode;
}

const PARTS: MenuParts = {
  Item: DropdownMenu.Item,
  CheckboxItem: DropdownMenu.CheckboxItem,
  ItemIndicator: DropdownMenu.ItemIndicator,
  Label: DropdownMenu.Label,
  Separator: DropdownMenu.Separator,
};

/** The menu itself. Its button was there before it: the library's own trigger only says where that is. */
export function MenuContent({ isOpen, onOpenChange, button, labelId, align, children }: MenuContentProps) {
  const isLeft = useRef(false);
  return (
    <MenuPartsContext value={PARTS}>
      <DropdownMenu.Root modal={false} open={isOpen} onOpenChange={onOpenChange}>
        <DropdownMenu.Trigger asChild>
          <span aria-hidden className="pointer-events-none absolute inset-0" />
        </DropdownMenu.Trigger>
        <DropdownMenu.Content
          aria-labelledby={labelId}
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className="bg-popover text-popover-foreground z-50 max-h-80 min-w-44 overflow-y-auto rounded-lg border p-1 shadow-lg"
          onInteractOutside={(event) => {
            // The button closes it by its click, which would open it again.
            if (button.current?.contains(event.target as Node) === true) event.preventDefault();
            else isLeft.current = true;
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            if (!isLeft.current) button.current?.focus();
            isLeft.current = false;
          }}
        >
          {children}
        </DropdownMenu.Content>
      </DropdownMenu.Root>
    </MenuPartsContext>
  );
}
