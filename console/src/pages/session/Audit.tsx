/** The trail of a session: who answered what, as a chain of entries. */

import { useQuery } from '@tanstack/react-query';
import { Download } from 'lucide-react';
import { type JsonObject, asObject, parseVerbatim, send } from '@/api';
import { JsonView } from '@/components/JsonView';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Skeleton } from '@/components/ui/skeleton';
import { showLine, showText } from '@/lib/text';
import { formatFull, parseTime } from '@/live/durations';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';

const TONES: Readonly<Record<string, Tone>> = { Accepted: 'success', Refused: 'danger', Counted: 'info' };

interface Entry {
  readonly entry: JsonObject;
  readonly hash: string;
  readonly value: JsonObject | null;
  readonly message: string;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Returns the entries of an export's lines; what is no entry (its last line) is left out. */
export function readTrail(lines: string): Entry[] {
  const found: Entry[] = [];
  for (const line of lines.split('\n')) {
    if (line.trim() === '') continue;
    const row = asObject(parseVerbatim(line));
    const entry = asObject(row?.['entry']);
    if (row === null || entry === null) continue;
    found.push({
      entry,
      hash: text(row['hash']),
      value: asObject(row['value']),
      message: text(row['message']),
    });
  }
  return found;
}

/** Has the browser save the export as it came: only all of it, to the letter, can be verified. */
function saveTrail(name: string, lines: string): void {
  const address = URL.createObjectURL(new Blob([lines], { type: 'application/jsonl' }));
  const anchor = document.createElement('a');
  anchor.href = address;
  anchor.download = `${name}-audit.jsonl`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function Audit({ session }: { session: Session }) {
  const { namespace, name, uid } = session;
  const found = useQuery({
    queryKey: [
      'session',
      namespace,
      name,
      'audit',
      uid,
      session.questions.filter((each) => each.answeredAt !== null).length,
    ],
    queryFn: async ({ signal }) => {
      const response = await send('get', '/api/v1/agentic-sessions/{namespace}/{name}/audit', {
        path: { namespace, name },
        headers: { Accept: 'application/jsonl' },
        signal,
      });
      const lines = await response.text();
      return { lines, entries: readTrail(lines) };
    },
  });
  if (found.isError)
    return <ProblemPanel error={found.error} namespace={namespace} onRetry={() => void found.refetch()} />;
  if (found.data === undefined) return <Skeleton className="h-40" />;
  if (found.data.entries.length === 0)
    return <p className="text-muted-foreground p-6 text-center text-[13px]">{strings.audit.none}</p>;
  return (
    <div className="space-y-3">
      <ol className="space-y-2">
        {found.data.entries.map(({ entry, hash, message }) => {
          const kind = text(entry['kind']);
          return (
            <li key={hash}>
              <Card className="p-3 text-[13px]" data-audit={kind}>
                <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                  <Badge tone={TONES[kind] ?? 'neutral'}>{strings.audit.kinds[kind] ?? showLine(kind)}</Badge>
                  <span className="font-medium break-all">
                    {showLine(text(entry['by'])) || strings.about.notStated}
                  </span>
                  <span className="text-muted-foreground">{formatFull(parseTime(text(entry['at'])))}</span>
                  <span className="text-muted-foreground ml-auto font-mono text-xs" title={hash}>
                    {hash.slice(0, 12)}
                  </span>
                </div>
                {message !== '' && (
                  <p className="mt-1 break-words whitespace-pre-wrap">{showText(message)}</p>
                )}
                <details className="mt-1">
                  <summary className="text-muted-foreground cursor-pointer text-xs">
                    {strings.audit.details}
                  </summary>
                  <JsonView value={entry} />
                </details>
              </Card>
            </li>
          );
        })}
      </ol>
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <p className="text-muted-foreground text-xs">{strings.audit.verify}</p>
        <Button variant="outline" onClick={() => saveTrail(name, found.data.lines)}>
          <Download aria-hidden />
          {strings.audit.download}
        </Button>
      </div>
    </div>
  );
}
