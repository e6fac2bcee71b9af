import { Link } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { MessagesSquare } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { PhaseBadge } from '@/components/PhaseBadge';
import { Shown } from '@/components/Shown';
import { Time } from '@/components/Time';
import { Checkbox } from '@/components/ui/checkbox';
import { cn } from '@/lib/cn';
import { useMediaQuery } from '@/lib/useMediaQuery';
import { strings } from '@/strings/sessions';
import type { SessionRow } from './rows';

const COLUMNS =
  'grid grid-cols-[2.25rem_minmax(0,1fr)_auto] items-center gap-x-3 px-3 lg:grid-cols-[1.5rem_minmax(12rem,2.2fr)_9.5rem_minmax(7rem,1fr)_minmax(7rem,1fr)_minmax(8rem,1.5fr)_6.5rem] lg:px-6';
const ROW = { wide: 44, narrow: 66 };

interface TableProps {
  rows: readonly SessionRow[];
  isShowingNamespace: boolean;
  selected: ReadonlySet<string>;
  onSelect: (keys: readonly string[], isSelected: boolean) => void;
  cursor: number;
  onEndSeen: () => void;
}

/** The rows that can be seen, of however many there are. */
export function SessionTable({
  rows,
  isShowingNamespace,
  selected,
  onSelect,
  cursor,
  onEndSeen,
}: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const isWide = useMediaQuery('(min-width: 64rem)');
  const height = isWide ? ROW.wide : ROW.narrow;
  // eslint-disable-next-line react-hooks/incompatible-library -- what it returns is used here alone
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 12,
  });
  useEffect(() => {
    virtual.measure();
  }, [virtual, height]);
  useEffect(() => {
    if (cursor >= 0) virtual.scrollToIndex(cursor, { align: 'auto' });
  }, [cursor, virtual]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - 20) onEndSeen();
  }, [last, rows.length, onEndSeen]);
  const chosen = rows.filter((row) => selected.has(row.key)).length;
  return (
    <div
      role="table"
      aria-label={strings.title}
      aria-rowcount={rows.length + 1}
      className="flex min-h-0 flex-1 flex-col"
    >
      <div role="rowgroup">
        <div
          role="row"
          aria-rowindex={1}
          className={cn(COLUMNS, 'bg-muted/50 text-muted-foreground h-9 border-b text-xs font-medium')}
        >
          <div role="columnheader" className="flex">
            <Checkbox
              aria-label={strings.selectAll}
              checked={rows.length > 0 && chosen === rows.length}
              isMixed={chosen > 0 && chosen < rows.length}
              onChange={(event) => {
                onSelect(
                  rows.map((row) => row.key),
                  event.target.checked,
                );
              }}
            />
          </div>
          <div role="columnheader">{strings.columns.session}</div>
          <div role="columnheader">{strings.columns.phase}</div>
          <div role="columnheader" className="hidden lg:block">
            {strings.columns.workflow}
          </div>
          <div role="columnheader" className="hidden lg:block">
            {strings.columns.createdBy}
          </div>
          <div role="columnheader" className="hidden lg:block">
            {strings.columns.now}
          </div>
          <div role="columnheader" className="hidden lg:block">
            {strings.columns.created}
          </div>
        </div>
      </div>
      <div ref={scroller} role="rowgroup" className="min-h-0 flex-1 overflow-y-auto">
        <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            return (
              <Row
                key={row.key}
                row={row}
                index={item.index}
                top={item.start}
                height={height}
                isShowingNamespace={isShowingNamespace}
                isSelected={selected.has(row.key)}
                isCurrent={item.index === cursor}
                onSelect={onSelect}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  row: SessionRow;
  index: number;
  top: number;
  height: number;
  isShowingNamespace: boolean;
  isSelected: boolean;
  isCurrent: boolean;
  onSelect: (keys: readonly string[], isSelected: boolean) => void;
}

function Row({ row, index, top, height, isShowingNamespace, isSelected, isCurrent, onSelect }: RowProps) {
  const title = row.displayName || row.name;
  const place = isShowingNamespace ? row.key : row.displayName === '' ? '' : row.name;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-current={isCurrent || undefined}
      data-session={row.key}
      className={cn(
        COLUMNS,
        'hover:bg-accent/60 absolute inset-x-0 border-b text-[13px]',
        isSelected && 'bg-primary/7',
        isCurrent && 'bg-accent shadow-[inset_2px_0_0_var(--primary)]',
      )}
      style={{ height, transform: `translateY(${String(top)}px)` }}
    >
      <div role="cell" className="flex">
        {/* The space around the box belongs to it: a finger finds it, and opens nothing. */}
        <label className="relative z-10 -m-2 flex p-2">
          <Checkbox
            aria-label={strings.selectOne(row.name)}
            checked={isSelected}
            onChange={(event) => {
              onSelect([row.key], event.target.checked);
            }}
          />
        </label>
      </div>
      <div role="cell" className="min-w-0">
        <div className="flex min-w-0 items-center gap-1.5">
          <Link
            to="/sessions/$namespace/$name"
            params={{ namespace: row.namespace, name: row.name }}
            className="truncate font-medium after:absolute after:inset-0"
          >
            <Shown text={title} className={row.displayName === '' ? 'font-mono text-xs' : undefined} />
          </Link>
          {row.isConversation && (
            <Link
              to="/chat/$namespace/$name"
              params={{ namespace: row.namespace, name: row.name }}
              aria-label={strings.openChat(row.name)}
              title={strings.conversation}
              className="text-muted-foreground hover:text-foreground relative z-10"
            >
              <MessagesSquare aria-hidden className="size-3.5" />
            </Link>
          )}
        </div>
        {place !== '' && <div className="text-muted-foreground truncate font-mono text-[11px]">{place}</div>}
        <div className="text-muted-foreground truncate text-xs lg:hidden">
          <Shown text={row.workflow} /> · <Time at={row.createdAt} />
        </div>
      </div>
      <div role="cell">
        <PhaseBadge phase={row.phase} />
      </div>
      <div role="cell" className="hidden truncate lg:block">
        <Shown text={row.workflow} />
      </div>
      <div role="cell" className="text-muted-foreground hidden truncate lg:block" title={row.createdBy}>
        {row.createdBy === '' ? (
          strings.notStated
        ) : (
          <Shown text={row.createdBy.split(':').slice(-1)[0] ?? ''} />
        )}
      </div>
      <div role="cell" className="text-muted-foreground hidden truncate lg:block">
        {row.progress !== '' && <span className="text-foreground mr-1.5 tabular-nums">{row.progress}</span>}
        <Shown text={row.now} title={row.now} />
      </div>
      <div role="cell" className="text-muted-foreground hidden tabular-nums lg:block">
        <Time at={row.createdAt} />
      </div>
    </div>
  );
}
