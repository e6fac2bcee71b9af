/** Light, dark, or as the system has it; kept in this browser. */

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'agentic.theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

export function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system';
  }
}

/** Show a theme, and keep to the system's where that is chosen. */
export function applyTheme(theme: Theme): void {
  const show = (): void => {
    const chosen = readTheme();
    document.documentElement.classList.toggle(
      'dark',
      chosen === 'dark' || (chosen === 'system' && dark.matches),
    );
  };
  try {
    if (theme === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    document.documentElement.classList.toggle(
      'dark',
      theme === 'dark' || (theme === 'system' && dark.matches),
    );
    return;
  }
  dark.onchange = show;
  show();
}
