/** A form without a gateway: what it sends is what was typed, and nothing is sent that is refused. */
import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { Problem } from '@/api';
import type { FormValue } from './numbers';
import { ValueForm } from './ValueForm';

function show(schema: FormValue, more: Partial<Parameters<typeof ValueForm>[0]> = {}) {
  const onSubmit = vi.fn((_value: FormValue | undefined) => Promise.resolve());
  render(
    <ValueForm
      schema={schema}
      at="/spec/inputs"
      label="Inputs"
      submitLabel="Send"
      busyLabel="Sending"
      onSubmit={onSubmit}
      {...more}
    />,
  );
  return { onSubmit, user: userEvent.setup() };
}

const send = async (user: ReturnType<typeof userEvent.setup>) =>
  user.click(await screen.findByRole('button', { name: 'Send' }));

describe('a form', () => {
  it('sends integers beyond 2⁵³ with all their digits', async () => {
    const { onSubmit, user } = show({
      type: 'object',
      properties: { n: { type: 'integer', title: 'N' }, any: { title: 'Any' } },
    });
    await user.type(await screen.findByLabelText('N'), '9007199254740993');
    await user.click(screen.getByLabelText('Any'));
    await user.paste('{"a": 12345678901234567}');
    await send(user);
    expect(onSubmit).toHaveBeenCalledExactlyOnceWith({
      n: 9007199254740993n,
      any: { a: 12345678901234567n },
    });
  });

  it('shows and demands what a condition asks for', async () => {
    const { onSubmit, user } = show({
      type: 'object',
      properties: { mode: { enum: ['fast', 'slow'], title: 'Mode' } },
      required: ['mode'],
      if: { properties: { mode: { const: 'slow' } }, required: ['mode'] },
      then: { properties: { reason: { type: 'string', title: 'Reason' } }, required: ['reason'] },
    });
    await user.selectOptions(await screen.findByLabelText(/Mode/), 'slow');
    await send(user);
    expect(onSubmit).not.toHaveBeenCalled();
    await user.type(screen.getByLabelText(/Reason/), 'late');
    await send(user);
    expect(onSubmit).toHaveBeenCalledExactlyOnceWith({ mode: 'slow', reason: 'late' });
  });

  it('keeps refusals of the server at their fields until these change', async () => {
    const problem = new Problem({
      kind: 'invalid-input',
      status: 400,
      title: 'The inputs are refused',
      detail: '',
      errors: [{ pointer: '/spec/inputs/a~1b', message: 'is not right', keyword: 'pattern' }],
    });
    const { user } = show(
      { type: 'object', properties: { 'a/b': { type: 'string', title: 'A' } } },
      { onSubmit: () => Promise.reject(problem) },
    );
    await user.type(await screen.findByLabelText('A'), 'x');
    await send(user);
    await waitFor(() => expect(screen.getByLabelText('A')).toHaveAttribute('aria-invalid', 'true'));
    expect(screen.getByLabelText('A')).toHaveFocus();
    await user.type(screen.getByLabelText('A'), 'y');
    expect(screen.getByLabelText('A')).not.toHaveAttribute('aria-invalid');
  });

  it('draws objects that are needed, so that their fields say what is missing', async () => {
    const { onSubmit, user } = show({
      type: 'object',
      required: ['in'],
      properties: {
        in: { type: 'object', required: ['x'], properties: { x: { type: 'string', title: 'X' } } },
        out: {
          type: 'object',
          title: 'Out',
          required: ['y'],
          properties: { y: { type: 'string', title: 'Y' } },
        },
      },
    });
    await send(user);
    expect(onSubmit).not.toHaveBeenCalled();
    expect(await screen.findByLabelText(/X/)).toHaveFocus();
    expect(screen.queryByLabelText(/Y/)).toBeNull();
    await user.type(screen.getByLabelText(/X/), 'there');
    await send(user);
    expect(onSubmit).toHaveBeenCalledExactlyOnceWith({ in: { x: 'there' } });
  });
});

describe('hostile schemas', () => {
  it('draws members with the names of every object', async () => {
    const bad = '<img src=x onerror="alert(2)">.a/b[0]';
    const { onSubmit, user } = show({
      type: 'object',
      properties: {
        constructor: { type: 'string' },
        c: {
          type: 'array',
          title: 'C',
          items: { type: 'object', properties: { [bad]: { type: 'string' } } },
        },
      },
    });
    await user.type(await screen.findByLabelText('constructor'), 'x');
    await user.click(screen.getByRole('button', { name: 'Add to C' }));
    await user.type(screen.getByLabelText(bad), 'y');
    await send(user);
    expect(onSubmit).toHaveBeenCalledExactlyOnceWith({ constructor: 'x', c: [{ [bad]: 'y' }] });
  });
});
