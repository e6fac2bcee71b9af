import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { CircleUser, LogOut } from 'lucide-react';
import { useState } from 'react';
import { type Theme, applyTheme, readTheme } from '@/app/theme';
import { Button } from '@/components/ui/button';
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuSeparator } from '@/components/ui/menu';
import { showLine } from '@/lib/text';
import { strings } from '@/strings/app';
import { signOut, useMyself } from './myself';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

/** A service account's own name is at the end of how the cluster calls it. */
function shorten(username: string): string {
  return username.startsWith('system:serviceaccount:') ? username.split(':').slice(2).join('/') : username;
}

export function AccountMenu() {
  const { data: myself } = useMyself();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [theme, setTheme] = useState(readTheme);
  const name = showLine(myself?.username ?? '');
  const leave = async (): Promise<void> => {
    const address = await signOut(client, myself?.via);
    if (address !== null) window.location.assign(address);
    else await navigate({ to: '/sign-in', search: {} });
  };
  return (
    <Menu
      align="start"
      className="flex-1"
      trigger={
        <Button variant="ghost" className="min-w-0 flex-1 justify-start px-2" aria-label={name} title={name}>
          <CircleUser aria-hidden />
          <span className="hidden truncate font-normal md:inline">{shorten(name)}</span>
        </Button>
      }
    >
      <MenuLabel>
        <span className="text-foreground block max-w-64 font-medium break-words">{name}</span>
        {myself && strings.signedInBy[myself.via]}
      </MenuLabel>
      <MenuSeparator />
      <MenuLabel>{strings.theme}</MenuLabel>
      {THEMES.map((each) => (
        <MenuChoice
          key={each}
          isChosen={theme === each}
          onSelect={() => {
            setTheme(each);
            applyTheme(each);
          }}
        >
          {strings.themes[each]}
        </MenuChoice>
      ))}
      {myself?.via !== 'proxy' && (
        <>
          <MenuSeparator />
          <MenuItem onSelect={() => void leave()}>
            <LogOut aria-hidden />
            {strings.signOut}
          </MenuItem>
        </>
      )}
    </Menu>
  );
}
