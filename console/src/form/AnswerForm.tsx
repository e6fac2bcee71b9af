/**
 * A question and the way to answer it: by its options, as yes or no, by the form of its schema, or as any JSON.
 *
 * The question's digest goes with the answer, so that it answers what was shown and nothing else.
 */
import { CircleAlert, CircleCheck, Clock, LoaderCircle, Users } from 'lucide-react';
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';

import { type InboxItem, type Json, Problem, writeJson } from '@/api';
import { Time } from '@/components/Time';
import { Button } from '@/components/ui/button';
import { showLine, showText } from '@/lib/text';
import { answerStrings as strings } from '@/strings/answer';
import { digestQuestion } from './digest';
import { type Outcome, followOutcome, readOutcome, sendAnswer } from './answering';
import { useRequestKeys } from './idempotency';
import { type FormValue, toForm } from './numbers';
import { isMembers } from './validator/objects';
import { ValueForm } from './ValueForm';

/** What is shown of a question; the inbox's items are such. */
export type ShownQuestion = Pick<
  InboxItem,
  'namespace' | 'session' | 'interruptId' | 'prompt' | 'options' | 'digest' | 'needed'
> &
  Partial<Pick<InboxItem, 'node' | 'value' | 'schema' | 'deadline' | 'onExpiry' | 'rule'>> & {
    /** Who has answered so far, where several have to. */
    readonly given?: readonly string[];
  };

export interface AnswerFormProps {
  readonly question: ShownQuestion;
  /** Whether nobody can answer it any more: what became of an answer is still told. */
  readonly isOver?: boolean;
  /** Called when an answer is sent. */
  readonly onSent?: () => void;
  /** Called once the operator has accepted or counted the answer, or leaves it for later. */
  readonly onAnswered?: () => void;
}

const FOLLOW_SECONDS = 30;
const BREAKPOINT = 'breakpoint-';
const TEXT = { type: 'string', title: strings.label, 'x-component': 'textarea' } as const;

type State =
  | { readonly kind: 'asking' }
  | { readonly kind: 'sending'; readonly option: number | null }
  | { readonly kind: 'outcome'; readonly outcome: Outcome; readonly isFollowed: boolean }
  | { readonly kind: 'problem'; readonly problem: Problem };

export function AnswerForm({ question, isOver = false, onSent, onAnswered }: AnswerFormProps) {
  const [state, setState] = useState<State>({ kind: 'asking' });
  const [isOther, setOther] = useState(false);
  const [isJson, setJson] = useState(false);
  const keys = useRequestKeys();
  const isSending = useRef(false);
  const following = useRef<AbortController | null>(null);
  useEffect(() => () => following.current?.abort(), []);

  const schema = useMemo(() => toForm((question.schema ?? null) as Json), [question.schema]);
  const options = useMemo(() => readOptions(question, schema), [question, schema]);

  /** Sends an answer; raises `Problem` for the form that has fields for it. */
  const send = async (value: FormValue | undefined, option: number | null) => {
    if (isSending.current) return;
    isSending.current = true;
    setState({ kind: 'sending', option });
    onSent?.();
    try {
      const digest = question.digest || (await digestQuestion(question));
      const body = { question: question.interruptId, digest, value };
      const session = await sendAnswer({ ...question, digest }, value ?? null, keys.take(body));
      let outcome = readOutcome(session, question.interruptId);
      setState({ kind: 'outcome', outcome, isFollowed: true });
      if (outcome.kind === 'waiting') {
        following.current = new AbortController();
        outcome = await followOutcome(question, FOLLOW_SECONDS, following.current.signal);
        if (following.current.signal.aborted) return;
        setState({ kind: 'outcome', outcome, isFollowed: false });
      }
      if (outcome.kind !== 'refused') onAnswered?.();
    } catch (error) {
      if (!(error instanceof Problem)) {
        setState({ kind: 'asking' });
        throw error;
      }
      keys.drop(error);
      setState({ kind: 'problem', problem: error });
      if (option === null) throw error;
    } finally {
      isSending.current = false;
    }
  };

  const isBusy = state.kind === 'sending';
  const isDone = isOver || (state.kind === 'outcome' && state.outcome.kind !== 'refused');
  const hasForm = options.length === 0 || isOther;
  return (
    <section className="space-y-4" aria-label={showLine(question.prompt)}>
      <div className="space-y-2">
        <p dir="auto" className="text-sm leading-6 font-medium break-words whitespace-pre-wrap">
          {showText(question.prompt)}
        </p>
        <Facts question={question} />
        <Details value={question.value} />
      </div>
      <Told state={state} needed={question.needed} />
      {!isDone && options.length > 0 && (
        <div className="flex flex-wrap gap-2">
          {options.map(({ label, value }, index) => (
            <Button
              key={index}
              variant={index === 0 ? 'default' : 'outline'}
              disabled={isBusy}
              isBusy={state.kind === 'sending' && state.option === index}
              data-option={index + 1}
              className="h-auto min-h-8 max-w-full py-1.5 text-left whitespace-normal"
              onClick={() => void send(value, index)}
            >
              <bdi className="min-w-0 break-words">{showLine(label)}</bdi>
            </Button>
          ))}
          {schema !== null && !isYesNo(schema) && !isOther && !isOnlyChoice(schema) && (
            <Button variant="ghost" disabled={isBusy} onClick={() => setOther(true)}>
              {strings.otherwise}
            </Button>
          )}
        </div>
      )}
      {!isDone && hasForm && (
        <ValueForm
          // Another question is another form.
          key={`${question.interruptId}/${question.digest}/${String(isJson)}`}
          schema={schema ?? (isJson ? null : TEXT)}
          judging={schema ?? true}
          initial={readDefault(question.value)}
          draft={`answer.${question.namespace}/${question.session}/${question.interruptId}`}
          at="/value"
          label={strings.label}
          submitLabel={strings.send}
          busyLabel={strings.sending}
          idPrefix="answer"
          onSubmit={(value) => send(value, null)}
          actions={() =>
            schema === null ? (
              <Button variant="ghost" onClick={() => setJson(!isJson)}>
                {isJson ? strings.asText : strings.asJson}
              </Button>
            ) : null
          }
        />
      )}
    </section>
  );
}

/** Who may answer and until when. */
function Facts({ question }: { question: ShownQuestion }) {
  const { needed, given = [], deadline, onExpiry, node } = question;
  const expiry = typeof onExpiry === 'string' ? strings.onExpiry[onExpiry] : undefined;
  return (
    <ul className="text-muted-foreground space-y-1 text-xs">
      {typeof node === 'string' && node !== '' && <li>{strings.askedBy(showLine(node))}</li>}
      <Fact icon={<Users aria-hidden className="size-3.5" />}>
        {needed === '' ? strings.anybody : `${strings.needed}: ${showLine(needed)}`}
        {given.length > 0 && ` · ${strings.given}: ${given.map(showLine).join(', ')}`}
      </Fact>
      {typeof deadline === 'string' && (
        <Fact icon={<Clock aria-hidden className="size-3.5" />}>
          {strings.deadline} <Time at={deadline} className="text-foreground font-medium" />
          {expiry === undefined ? '' : ` – ${expiry}`}
        </Fact>
      )}
    </ul>
  );
}

function Fact({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <li className="flex items-center gap-1.5">
      {icon}
      <span dir="auto" className="min-w-0 break-words">
        {children}
      </span>
    </li>
  );
}

function Details({ value }: { value: unknown }) {
  if (value === undefined || value === null || typeof value === 'string') return null;
  return (
    <details className="text-xs">
      <summary className="text-muted-foreground w-fit cursor-pointer">{strings.details}</summary>
      <pre dir="ltr" tabIndex={0} className="bg-muted mt-1.5 max-h-80 overflow-auto rounded-md p-2 font-mono">
        {showText(writeJson(value, 2))}
      </pre>
    </details>
  );
}

/** What became of the answer, in words. */
function Told({ state, needed }: { state: State; needed: string }) {
  switch (state.kind) {
    case 'asking':
    case 'sending':
      return null;
    case 'problem':
      return <Notice isBad title={describeProblem(state.problem)} detail={state.problem.detail} />;
    case 'outcome': {
      const { outcome } = state;
      if (outcome.kind === 'refused') {
        const title =
          outcome.reason === 'QuestionChanged'
            ? strings.refusals.changed
            : outcome.reason === 'AlreadyAnswered'
              ? strings.refusals.doubled
              : outcome.reason === 'TooLate'
                ? strings.refusals.late
                : strings.outcomes.refused;
        return <Notice isBad title={title} detail={outcome.message} />;
      }
      if (outcome.kind === 'waiting') {
        return state.isFollowed ? (
          <Notice isWaiting title={strings.outcomes.sent} detail="" />
        ) : (
          <Notice title={strings.outcomes.unknown} detail="" />
        );
      }
      const title =
        outcome.kind === 'counted' ? strings.outcomes.counted(showLine(needed)) : strings.outcomes.accepted;
      return <Notice title={title} detail="" />;
    }
  }
}

function Notice({
  title,
  detail,
  isBad = false,
  isWaiting = false,
}: {
  title: string;
  detail: string;
  isBad?: boolean;
  isWaiting?: boolean;
}) {
  const Icon = isBad ? CircleAlert : isWaiting ? LoaderCircle : CircleCheck;
  const tone = isBad ? 'text-destructive' : isWaiting ? 'text-muted-foreground' : 'text-success';
  return (
    <div role={isBad ? 'alert' : 'status'} className="bg-muted flex gap-2 rounded-md p-3 text-[13px]">
      <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${tone} ${isWaiting ? 'animate-spin' : ''}`} />
      <div className="min-w-0">
        <p className="font-medium">{title}</p>
        {detail !== '' && (
          <p dir="auto" className="text-muted-foreground break-words">
            {showLine(detail)}
          </p>
        )}
      </div>
    </div>
  );
}

function describeProblem({ kind, status, detail }: Problem): string {
  if (status === 409) return detail.includes('digest') ? strings.refusals.changed : strings.refusals.doubled;
  if (status === 404) return strings.refusals.gone;
  if (status === 410) return strings.refusals.late;
  if (kind === 'forbidden') return strings.refusals.forbidden;
  return strings.refusals.other;
}

interface Choice {
  readonly label: string;
  readonly value: FormValue;
}

function readOptions(question: ShownQuestion, schema: FormValue): Choice[] {
  const options = question.options.map(({ label, value }) => {
    const read = toForm((value ?? null) as Json);
    return { label: typeof label === 'string' ? label : writeJson(read), value: read };
  });
  if (options.length > 0) return options;
  if (question.interruptId.startsWith(BREAKPOINT)) return [{ label: strings.goOn, value: true }];
  if (isYesNo(schema)) {
    return [
      { label: strings.yes, value: true },
      { label: strings.no, value: false },
    ];
  }
  return [];
}

function isYesNo(schema: FormValue): boolean {
  return (
    isMembers(schema) && schema.type === 'boolean' && schema.const === undefined && schema.enum === undefined
  );
}

/** Returns whether a schema takes one of a few values alone: then the options are all that there is. */
function isOnlyChoice(schema: FormValue): boolean {
  return isMembers(schema) && (Array.isArray(schema.enum) || schema.const !== undefined);
}

function readDefault(value: unknown): FormValue | undefined {
  return isMembers(value) && value.default !== undefined && value.default !== null
    ? toForm(value.default as Json)
    : undefined;
}
