/** A new session from a checkpoint of this one, with other state values where wanted. */

import { useMutation } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useId, useMemo, useState } from 'react';
import { type JsonObject, api, asObject, parseJson } from '@/api';
import { makeKey } from '@/form/idempotency';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { Input, Textarea } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';

interface ForkDialogProps {
  readonly session: Session;
  /** The checkpoint to start from: its id, empty for the newest; null where the dialog is closed. */
  readonly checkpoint: string | null;
  readonly onClose: () => void;
}

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Returns the values of a text, null where it is no object; undefined for an empty one. */
function readValues(text: string): JsonObject | null | undefined {
  if (text.trim() === '') return undefined;
  try {
    return asObject(parseJson(text));
  } catch {
    return null;
  }
}

export function ForkDialog({ session, checkpoint, onClose }: ForkDialogProps) {
  const id = useId();
  const navigate = useNavigate();
  const key = useMemo(() => makeKey(), []);
  const [name, setName] = useState('');
  const [values, setValues] = useState('');
  const [asNode, setAsNode] = useState('');
  const given = readValues(values);
  const isBadName = name !== '' && !NAME.test(name);
  const fork = useMutation({
    mutationFn: () =>
      api.post('/api/v1/agentic-sessions/{namespace}/{name}/fork', {
        path: { namespace: session.namespace, name: session.name },
        headers: { 'Idempotency-Key': key },
        body: {
          ...(checkpoint === null || checkpoint === '' ? {} : { checkpoint }),
          ...(name === '' ? {} : { name }),
          ...(given === undefined || given === null ? {} : { values: given }),
          ...(asNode === '' ? {} : { asNode }),
        } as never,
      }),
    onSuccess: async (made) => {
      onClose();
      await navigate({
        to: '/sessions/$namespace/$name',
        params: { namespace: session.namespace, name: made.metadata.name },
      });
    },
  });
  return (
    <Dialog
      isOpen={checkpoint !== null}
      onClose={onClose}
      title={strings.fork.title}
      description={strings.fork.text}
    >
      <form
        className="space-y-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (given !== null && !isBadName) fork.mutate();
        }}
      >
        {checkpoint !== '' && (
          <p className="text-muted-foreground text-xs break-all">
            {strings.fork.checkpoint} <code className="font-mono">{checkpoint}</code>
          </p>
        )}
        <Field
          id={`${id}-name`}
          label={strings.fork.name}
          hint={isBadName ? strings.fork.badName : strings.fork.nameHint}
          isWrong={isBadName}
        >
          <Input
            id={`${id}-name`}
            value={name}
            aria-invalid={isBadName}
            autoComplete="off"
            onChange={(event) => {
              setName(event.target.value);
            }}
          />
        </Field>
        <Field
          id={`${id}-values`}
          label={strings.fork.values}
          hint={given === null ? strings.fork.notObject : strings.fork.valuesHint}
          isWrong={given === null}
        >
          <Textarea
            id={`${id}-values`}
            value={values}
            rows={6}
            spellCheck={false}
            aria-invalid={given === null}
            placeholder="{}"
            className="font-mono text-xs"
            onChange={(event) => {
              setValues(event.target.value);
            }}
          />
        </Field>
        <Field id={`${id}-node`} label={strings.fork.asNode} hint={strings.fork.asNodeHint}>
          <Input
            id={`${id}-node`}
            value={asNode}
            autoComplete="off"
            className="font-mono"
            onChange={(event) => {
              setAsNode(event.target.value);
            }}
          />
        </Field>
        {fork.isError && <ProblemPanel error={fork.error} namespace={session.namespace} />}
        <DialogFooter>
          <Button variant="outline" onClick={onClose}>
            {strings.actions.cancel}
          </Button>
          <Button type="submit" isBusy={fork.isPending} disabled={given === null || isBadName}>
            {strings.fork.submit}
          </Button>
        </DialogFooter>
      </form>
    </Dialog>
  );
}

function Field({
  id,
  label,
  hint,
  isWrong = false,
  children,
}: {
  id: string;
  label: string;
  hint: string;
  isWrong?: boolean;
  children: React.ReactNode;
}) {
  return (
    <div className="space-y-1">
      <Label htmlFor={id}>{label}</Label>
      {children}
      <p
        className={isWrong ? 'text-destructive text-xs' : 'text-muted-foreground text-xs'}
        role={isWrong ? 'alert' : undefined}
      >
        {hint}
      </p>
    </div>
  );
}
