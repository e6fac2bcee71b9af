/** The result of a session: a table, a tree, text or an image, loaded only when it is small or asked for. */

import { useQuery } from '@tanstack/react-query';
import { Download } from 'lucide-react';
import { useMemo, useState } from 'react';
import { type Json, api, asObject, parseVerbatim, send } from '@/api';
import { addressOf } from '@/app/base';
import { JsonView, showScalar } from '@/components/JsonView';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { LongText } from '@/live/feed/LongText';
import { SaidText } from '@/live/feed/rows';
import type { Session } from '@/live/session';
import { cn } from '@/lib/cn';
import { showLine } from '@/lib/text';
import { strings } from '@/strings/session';
import { CanvasImage } from './CanvasImage';
import { type Image, type Table, findImage, readTable } from './result-shapes';

/** A result of that size is shown without being asked for. */
const SMALL = 256 * 1024;
/** One of more than that is only downloaded: a browser could not show it in a time that anybody waits. */
const LARGEST = 24 * 1024 * 1024;

export function formatSize(bytes: number): string {
  if (bytes < 1024) return `${String(bytes)} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

interface ResultProps {
  readonly session: Session;
  /** Number of the turn; the session's own result where absent. */
  readonly turn?: number;
}

/** Downloads a result by a ticket, so that neither a token nor the result has to pass through the page. */
async function download(session: Session, turn: number | undefined): Promise<void> {
  const path = { namespace: session.namespace, name: session.name };
  const { ticket } = await api.post('/api/v1/agentic-sessions/{namespace}/{name}/tickets', {
    path,
    body: { channel: 'result' },
  });
  const query = new URLSearchParams({ ticket, ...(turn === undefined ? {} : { turn: String(turn) }) });
  const link = document.createElement('a');
  link.href = `${addressOf(`/api/v1/agentic-sessions/${path.namespace}/${path.name}/result`)}?${query.toString()}`;
  link.download = `${path.name}${turn === undefined ? '' : `-${String(turn)}`}.json`;
  link.click();
}

export function Result({ session, turn }: ResultProps) {
  const { namespace, name, resultRef } = session;
  const size = resultRef?.size ?? 0;
  const isOutside = resultRef?.isOutside === true;
  const hasResult = turn !== undefined || resultRef !== null || session.result !== undefined;
  const [isAsked, setAsked] = useState(false);
  const [downloadError, setDownloadError] = useState<unknown>(null);
  const isLoaded = hasResult && !isOutside && (isAsked || size <= SMALL);
  const found = useQuery({
    queryKey: [
      'session',
      namespace,
      name,
      'result',
      session.uid,
      turn ?? 0,
      resultRef?.sha256 ?? '',
      session.endedAt,
    ],
    queryFn: async ({ signal }): Promise<Json> => {
      const response = await send('get', '/api/v1/agentic-sessions/{namespace}/{name}/result', {
        path: { namespace, name },
        query: { turn },
        signal,
      });
      return parseVerbatim(await response.text());
    },
    enabled: isLoaded,
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (!hasResult) {
    return (
      <p className="text-muted-foreground p-6 text-center text-[13px]">
        {session.isFinal ? strings.result.noneFinal : strings.result.none}
      </p>
    );
  }
  return (
    <div className="space-y-3" data-result>
      <div className="flex flex-wrap items-center gap-2">
        {resultRef !== null && (
          <p className="text-muted-foreground text-[13px]">
            {size > SMALL && strings.result.large(formatSize(size))} {isOutside && strings.result.outside}{' '}
            <span className="font-mono text-xs break-all" title="SHA-256">
              {resultRef.sha256}
            </span>
          </p>
        )}
        <span className="flex-1" />
        {!isLoaded && !isOutside && (
          <Button
            variant="outline"
            disabled={size > LARGEST}
            title={size > LARGEST ? strings.result.tooLarge : undefined}
            onClick={() => {
              setAsked(true);
            }}
          >
            {strings.result.show}
          </Button>
        )}
        <Button
          variant="outline"
          onClick={() => {
            setDownloadError(null);
            download(session, turn).catch(setDownloadError);
          }}
        >
          <Download aria-hidden />
          {strings.result.download}
        </Button>
      </div>
      {downloadError !== null && <ProblemPanel error={downloadError} namespace={namespace} />}
      {found.isError && (
        <ProblemPanel error={found.error} namespace={namespace} onRetry={() => void found.refetch()} />
      )}
      {found.data !== undefined && <ResultView value={found.data} />}
    </div>
  );
}

export function ResultView({ value }: { value: Json }) {
  const table = useMemo(() => readTable(value), [value]);
  const image = useMemo(() => findImage(value), [value]);
  const text = typeof value === 'string' && image === null ? value : null;
  const [isTree, setTree] = useState(false);
  const object = asObject(value);
  return (
    <Card className="overflow-hidden">
      {(table !== null || text !== null) && (
        <div className="flex gap-1 border-b p-1.5" role="group">
          <Button
            size="sm"
            variant={isTree ? 'ghost' : 'secondary'}
            aria-pressed={!isTree}
            onClick={() => {
              setTree(false);
            }}
          >
            {table === null ? strings.result.text : strings.result.table}
          </Button>
          <Button
            size="sm"
            variant={isTree ? 'secondary' : 'ghost'}
            aria-pressed={isTree}
            onClick={() => {
              setTree(true);
            }}
          >
            {strings.result.tree}
          </Button>
        </div>
      )}
      {image !== null && (
        <div className="p-3">
          <CanvasImage image={image} />
        </div>
      )}
      {!isTree && table !== null && <TableView table={table} />}
      {!isTree && text !== null && (
        <div className="p-4">
          <SaidText text={text} isGrowing={false} />
        </div>
      )}
      {(isTree || (table === null && text === null)) && (
        <div className="overflow-x-auto p-3">
          {object !== null && <Images object={object} />}
          <JsonView value={value} open={2} />
        </div>
      )}
    </Card>
  );
}

/** The images among the members of an object, and the long texts that read better by themselves. */
function Images({ object }: { object: { [key: string]: Json } }) {
  const images = useMemo(
    () =>
      Object.entries(object).flatMap(([key, each]): [string, Image][] => {
        const image = findImage(each);
        return image === null ? [] : [[key, image]];
      }),
    [object],
  );
  if (images.length === 0) return null;
  return (
    <ul className="mb-3 flex flex-wrap gap-3">
      {images.slice(0, 24).map(([key, image]) => (
        <li key={key}>
          <CanvasImage image={image} label={key} />
        </li>
      ))}
    </ul>
  );
}

const PAGE = 100;

function TableView({ table }: { table: Table }) {
  const [count, setCount] = useState(PAGE);
  return (
    <div className="max-h-[36rem] overflow-auto" tabIndex={0} role="region" aria-label={strings.result.table}>
      <table className="w-full border-collapse text-[13px]">
        <thead className="bg-card sticky top-0">
          <tr>
            <th
              scope="col"
              className="text-muted-foreground border-b px-3 py-1.5 text-right text-xs font-medium"
            >
              #
            </th>
            {table.columns.map((column) => (
              <th
                key={column}
                scope="col"
                className="text-muted-foreground border-b px-3 py-1.5 text-left text-xs font-medium whitespace-nowrap"
              >
                {showLine(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.slice(0, count).map((row, index) => (
            <tr key={index} className="hover:bg-accent/40 align-top">
              <td className="text-muted-foreground border-b px-3 py-1.5 text-right text-xs tabular-nums">
                {index + 1}
              </td>
              {table.columns.map((column) => (
                <td
                  key={column}
                  className={cn(
                    'max-w-md border-b px-3 py-1.5',
                    typeof row[column] !== 'string' && 'font-mono text-xs',
                  )}
                >
                  <Cell value={row[column]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="text-muted-foreground flex items-center gap-3 px-3 py-2 text-xs">
        {strings.result.rows(Math.min(count, table.rows.length), table.rows.length)}
        {count < table.rows.length && (
          <Button
            variant="link"
            size="sm"
            className="h-auto px-0"
            onClick={() => {
              setCount(count + 4 * PAGE);
            }}
          >
            {strings.result.moreRows}
          </Button>
        )}
      </p>
    </div>
  );
}

function Cell({ value }: { value: Json | undefined }) {
  if (value === undefined) return null;
  if (typeof value === 'string') {
    return value.length > 300 ? (
      <LongText text={value} />
    ) : (
      <span className="break-words">{showLine(value)}</span>
    );
  }
  if (Array.isArray(value) || asObject(value) !== null) return <JsonView value={value} open={0} />;
  return <span className="whitespace-nowrap tabular-nums">{showScalar(value)}</span>;
}
