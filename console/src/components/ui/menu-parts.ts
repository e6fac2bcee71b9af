import type { DropdownMenu } from 'radix-ui';
import { createContext, useContext } from 'react';

/** What a menu's entries are made of: of the part that is fetched when a menu is needed first. */
export type MenuParts = Pick<
  typeof DropdownMenu,
  'Item' | 'CheckboxItem' | 'ItemIndicator' | 'Label' | 'Separator'
>;

export const MenuPartsContext = createContext<MenuParts | null>(null);

export function useMenuParts(): MenuParts {
  const parts = useContext(MenuPartsContext);
  if (parts === null) throw new Error('an entry of a menu stands outside of a menu');
  return parts;
}
