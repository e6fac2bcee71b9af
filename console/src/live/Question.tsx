/** An open question: what is asked, who may answer, who has, and the form to answer by. */

import { Users } from 'lucide-react';
import { useMemo, useState } from 'react';
import { JsonView } from '@/components/JsonView';
import { Badge } from '@/components/ui/badge';
import type { ShownQuestion } from '@/form/AnswerForm';
import { AnswerPart } from '@/form/AnswerPart';
import { showLine, showText } from '@/lib/text';
import { strings } from '@/strings/session';
import { countGiven, describeNeeded } from './approvals';
import { formatFull, parseTime } from './durations';
import { type Question, type Session, findDeadline, listOpenQuestions } from './session';

function Approvals({ question, session }: { question: Question; session: Session }) {
  const { approval } = question;
  if (approval === null) return null;
  const needed = describeNeeded(approval, session);
  const tally = countGiven(approval);
  const missing = Math.max(0, tally.needed - tally.agreeing.length);
  if (needed === '' && approval.given.length === 0) return null;
  return (
    <div className="bg-muted/50 flex gap-2.5 rounded-md px-3 py-2 text-[13px]" data-approvals>
      <Users aria-hidden className="text-muted-foreground mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">
        <p className="break-words">
          <span className="text-muted-foreground">{strings.question.who}: </span>
          {showLine(needed)}
        </p>
        {tally.needed > 1 && (
          <ul className="mt-1.5 flex flex-wrap gap-1.5">
            <li>
              <Badge tone={missing === 0 ? 'success' : 'warning'}>
                {strings.question.given(tally.agreeing.length, tally.needed)}
              </Badge>
            </li>
            {tally.agreeing.map((by) => (
              <li key={by}>
                <Badge tone="success" title={strings.question.gave}>
                  {showLine(by)}
                </Badge>
              </li>
            ))}
            {tally.dissenting.map((by) => (
              <li key={by}>
                <Badge tone="danger">
                  {showLine(by)}: {strings.question.dissent}
                </Badge>
              </li>
            ))}
            {missing > 0 && (
              <li className="text-muted-foreground text-xs leading-5">{strings.question.missing(missing)}</li>
            )}
          </ul>
        )}
      </div>
    </div>
  );
}

/** Returns what the form shows of a question. */
function describe(question: Question, session: Session): ShownQuestion {
  const { approval } = question;
  const deadline = findDeadline(session);
  return {
    namespace: session.namespace,
    session: session.name,
    interruptId: question.id,
    prompt: question.prompt,
    value: question.value,
    schema: question.schema,
    options: question.options.map(({ value, label }) => ({ value, label })),
    digest: approval?.digest ?? '',
    needed: approval === null ? '' : describeNeeded(approval, session),
    given: approval?.given.map(({ by }) => by) ?? [],
    deadline: deadline === null ? null : new Date(deadline).toISOString(),
    onExpiry: session.deadline?.onExpiry ?? null,
    ...(question.node === '' ? {} : { node: question.node }),
  };
}

/** The questions that are open, and those that this page has answered until the answer is known to have been taken. */
export function OpenQuestions({ session }: { session: Session }) {
  const [sent, setSent] = useState<ReadonlySet<string>>(new Set());
  const open = new Set(listOpenQuestions(session).map(({ id }) => id));
  return session.questions
    .filter(({ id }) => open.has(id) || sent.has(id))
    .map((question) => (
      <QuestionCard
        key={question.id}
        question={question}
        session={session}
        isOver={!open.has(question.id)}
        onSent={() => {
          setSent((old) => new Set([...old, question.id]));
        }}
        onAnswered={() => {
          setSent((old) => new Set([...old].filter((id) => id !== question.id)));
        }}
      />
    ));
}

interface CardProps {
  readonly question: Question;
  readonly session: Session;
  readonly isOver: boolean;
  readonly onSent: () => void;
  readonly onAnswered: () => void;
}

function QuestionCard({ question, session, isOver, onSent, onAnswered }: CardProps) {
  const shown = useMemo(() => describe(question, session), [question, session]);
  const refusal = session.conditions.find(
    (each) => each.type === 'InputAccepted' && each.status === 'False' && each.reason !== 'ApprovalsMissing',
  );
  return (
    <section
      aria-label={strings.question.title}
      data-question={question.id}
      className="border-warning/40 bg-warning/5 space-y-3 rounded-lg border p-4"
    >
      <AnswerPart question={shown} isOver={isOver} onSent={onSent} onAnswered={onAnswered} />
      <Approvals question={question} session={session} />
      {refusal !== undefined && !isOver && (
        <p role="alert" className="text-destructive text-[13px] break-words">
          {strings.question.refused}: {showText(refusal.message)}
        </p>
      )}
    </section>
  );
}

/** Questions that were answered, with whose answer counted. */
export function AnsweredQuestions({ session }: { session: Session }) {
  const answered = session.questions.filter((each) => each.answeredAt !== null);
  if (answered.length === 0) return null;
  return (
    <details className="text-[13px]">
      <summary className="text-muted-foreground cursor-pointer text-xs select-none">
        {strings.question.answered} ({answered.length})
      </summary>
      <ul className="mt-2 space-y-2">
        {answered.map((each) => (
          <li key={each.id} className="border-l-2 pl-3">
            <p className="break-words whitespace-pre-wrap">{showText(each.prompt)}</p>
            <div className="text-muted-foreground flex flex-wrap items-center gap-x-2 text-xs">
              <JsonView value={each.answer ?? null} open={0} />
              <span>
                {each.answeredBy === 'inputDeadline'
                  ? strings.question.byDeadline
                  : each.answeredBy === ''
                    ? strings.question.nobody
                    : `${strings.question.by} ${showLine(each.answeredBy)}`}
                , {formatFull(parseTime(each.answeredAt))}
              </span>
            </div>
          </li>
        ))}
      </ul>
    </details>
  );
}
