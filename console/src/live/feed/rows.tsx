/** The rows of a feed: one for each item of the model, drawn again only when its item has a new version. */

import { Bot, CircleAlert, CircleHelp, Info, TriangleAlert, Unplug } from 'lucide-react';
import { memo } from 'react';
import { JsonView } from '@/components/JsonView';
import { PartFailure, makePart } from '@/components/Part';
import { cn } from '@/lib/cn';
import { showLine, showText } from '@/lib/text';
import { strings } from '@/strings/live';
import { formatFull, formatTime } from '../durations';
import type { AskedItem, Block, GapItem, Item, NoteItem, SaidItem, ToolItem } from '../model';
import { LongText } from './LongText';
import { ToolCall } from './ToolCall';

function PlainText({ text }: { text: string }) {
  return <p className="whitespace-pre-wrap">{showText(text)}</p>;
}

const Markdown = makePart(async () => (await import('./Markdown')).default, {
  waiting: ({ text }) => <PlainText text={text} />,
  failed: ({ text }, part) => (
    <>
      <PlainText text={text} />
      <PartFailure part={part} text={strings.feed.plain} />
    </>
  ),
});

/** Markdown of that length is shown as plain text: reading it would hold the page up. */
const LONGEST_MARKDOWN = 60_000;

interface RowProps {
  readonly item: Item;
  /** The item's version: items change in place, and this says that one did. */
  readonly version: number;
}

export const Row = memo(function Row({ item }: RowProps) {
  switch (item.kind) {
    case 'said':
      return <Said item={item} />;
    case 'tool':
      return <Tool item={item} />;
    case 'note':
      return <Note item={item} />;
    case 'gap':
      return <Gap item={item} />;
    case 'asked':
      return <Asked item={item} />;
  }
});

function Time({ at }: { at: number }) {
  if (!Number.isFinite(at)) return null;
  return (
    <time
      dateTime={new Date(at).toISOString()}
      title={formatFull(at)}
      className="text-muted-foreground shrink-0 text-xs tabular-nums"
    >
      {formatTime(at)}
    </time>
  );
}

export function SaidText({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  if (text.length > LONGEST_MARKDOWN) return <LongText text={text} />;
  return <Markdown text={text} isGrowing={isGrowing} />;
}

function BlockView({ block, item }: { block: Block; item: SaidItem }) {
  if (block.kind === 'tool_call') {
    return (
      <ToolCall
        name={block.name}
        args={block.text}
        outcome={block.outcome}
        startedAt={item.at}
        isLive={!item.isCut}
      />
    );
  }
  if (block.kind === 'reasoning') {
    return (
      <details className="text-muted-foreground my-1" open={block.isOpen}>
        <summary className="cursor-pointer text-xs select-none">{strings.feed.thinking}</summary>
        <div className="mt-1 border-l-2 pl-3 text-[13px] whitespace-pre-wrap">{showText(block.text)}</div>
      </details>
    );
  }
  if (block.kind !== 'text' && block.text === '') {
    return <p className="text-muted-foreground text-xs">{strings.feed.media(showLine(block.kind))}</p>;
  }
  return <SaidText text={block.text} isGrowing={block.isOpen} />;
}

function Said({ item }: { item: SaidItem }) {
  return (
    <article className="flex gap-3 py-2.5" data-item="said" data-open={item.isOpen}>
      <Bot aria-hidden className="text-primary mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">
        <header className="mb-0.5 flex items-baseline gap-2">
          <span className="truncate text-xs font-medium">{showLine(item.node)}</span>
          {item.model !== '' && (
            <span className="text-muted-foreground truncate text-xs">{showLine(item.model)}</span>
          )}
          <span className="flex-1" />
          {item.tokens !== null && (
            <span className="text-muted-foreground shrink-0 text-xs tabular-nums">
              {strings.feed.tokens(item.tokens)}
            </span>
          )}
          <Time at={item.at} />
        </header>
        {item.blocks.map((block) => (
          <BlockView key={block.index} block={block} item={item} />
        ))}
        {item.isOpen && (
          <span
            aria-hidden
            className="bg-primary ml-0.5 inline-block h-3.5 w-1.5 animate-pulse align-text-bottom"
          />
        )}
        {item.isCut && <p className="text-warning mt-1 text-xs">{strings.feed.cut}</p>}
      </div>
    </article>
  );
}

function Tool({ item }: { item: ToolItem }) {
  return (
    <div className="py-1 pl-7" data-item="tool">
      <ToolCall name={item.name} args={null} outcome={item.outcome} startedAt={item.at} isLive={false} />
    </div>
  );
}

const TONES = {
  info: { icon: Info, className: 'text-muted-foreground' },
  warning: { icon: TriangleAlert, className: 'text-warning' },
  error: { icon: CircleAlert, className: 'text-destructive' },
};

function Note({ item }: { item: NoteItem }) {
  const { icon: Icon, className } = TONES[item.tone];
  return (
    <div className="flex gap-3 py-1.5 text-[13px]" data-item="note">
      <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', className)} />
      <div className="min-w-0 flex-1">
        <div className="flex items-baseline gap-2">
          <span
            className={cn(
              'min-w-0 flex-1 break-words whitespace-pre-wrap',
              item.tone === 'error' && 'text-destructive',
            )}
          >
            {showText(item.text === '' ? item.event : item.text.slice(0, 4000))}
          </span>
          {item.node !== '' && (
            <span className="text-muted-foreground truncate font-mono text-xs">{showLine(item.node)}</span>
          )}
          <Time at={item.at} />
        </div>
        {item.data !== null && (
          <div className="mt-1">
            <JsonView value={item.data} />
          </div>
        )}
      </div>
    </div>
  );
}

function Gap({ item }: { item: GapItem }) {
  return (
    <div
      className="my-1.5 flex items-center gap-3 rounded-md border border-dashed px-3 py-2 text-[13px]"
      data-item="gap"
      role="note"
    >
      <Unplug aria-hidden className="text-warning size-4 shrink-0" />
      <p>
        {item.text === '' ? strings.feed.gap(item.first, item.last) : showText(item.text)}{' '}
        <span className="text-muted-foreground">{strings.feed.gapWhy}</span>
      </p>
    </div>
  );
}

function Asked({ item }: { item: AskedItem }) {
  return (
    <div className="flex gap-3 py-1.5 text-[13px]" data-item="asked">
      <CircleHelp aria-hidden className="text-warning mt-0.5 size-4 shrink-0" />
      <div className="flex min-w-0 flex-1 items-baseline gap-2">
        <p className="min-w-0 flex-1 break-words whitespace-pre-wrap">
          <span className="text-muted-foreground">{strings.feed.asked}: </span>
          {showText(item.prompt)}
        </p>
        <Time at={item.at} />
      </div>
    </div>
  );
}
