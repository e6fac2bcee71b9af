import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useLayoutEffect } from 'react';
import { expect, it, vi } from 'vitest';
import { useShortcuts } from './keys';

function Page({ shortcuts }: { shortcuts: Record<string, () => void> }) {
  useShortcuts(shortcuts);
  return (
    <>
      <input aria-label="field" />
      <button type="button">button</button>
    </>
  );
}

it('hears one key and two after another, and nothing that is typed into a field', async () => {
  const help = vi.fn();
  const inbox = vi.fn();
  const user = userEvent.setup();
  render(<Page shortcuts={{ '?': help, 'g i': inbox }} />);
  await user.keyboard('?');
  await user.keyboard('gi');
  expect([help.mock.calls.length, inbox.mock.calls.length]).toEqual([1, 1]);
  await user.keyboard('i');
  await user.keyboard('{Control>}?{/Control}');
  await user.type(screen.getByLabelText('field'), '?gi');
  expect([help.mock.calls.length, inbox.mock.calls.length]).toEqual([1, 1]);
});

it('hears nothing while a dialog is open', async () => {
  const help = vi.fn();
  const user = userEvent.setup();
  render(
    <>
      <Page shortcuts={{ '?': help }} />
      <dialog open>question</dialog>
    </>,
  );
  await user.keyboard('?');
  expect(help).not.toHaveBeenCalled();
});

it('finds what is shown when the key is pressed, however short the page is there', () => {
  const heard: string[] = [];
  const press = () => {
    window.dispatchEvent(new KeyboardEvent('keydown', { key: 'j' }));
  };
  function Named({ name }: { name: string }) {
    useShortcuts({ j: () => heard.push(name) });
    // Somebody presses the key as soon as the page shows the name: before what React leaves for later.
    useLayoutEffect(press, [name]);
    return <p>{name}</p>;
  }
  const page = render(<Named name="one" />);
  page.rerender(<Named name="two" />);
  expect(heard).toEqual(['one', 'two']);
});
