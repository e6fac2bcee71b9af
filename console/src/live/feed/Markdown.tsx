/**
 * Markdown of a model or a workflow, as text with structure: no HTML, no image, links to http(s) alone.
 *
 * Loaded when the first message is shown. While a message grows, only its last paragraphs are read again.
 */

import { type ComponentProps, memo, useMemo } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize';
import remarkGfm from 'remark-gfm';
import { showText } from '@/lib/text';
import { strings } from '@/strings/live';
import { splitGrowing } from './split';

const SCHEMA: ComponentProps<typeof ReactMarkdown>['rehypePlugins'] = [
  [
    rehypeSanitize,
    {
      ...defaultSchema,
      protocols: { ...defaultSchema.protocols, href: ['http', 'https'], src: [] },
      // No id of a workflow's can be taken for one of this page's.
      clobberPrefix: 'said-',
    },
  ],
];

const COMPONENTS: Components = {
  a({ href, children }) {
    if (href === undefined || !/^https?:\/\//i.test(href)) return <span>{children}</span>;
    return (
      <a
        href={href}
        target="_blank"
        rel="noopener noreferrer nofollow"
        title={showText(href)}
        className="text-primary underline underline-offset-2"
      >
        {children}
        <span className="sr-only"> ({strings.feed.openLink})</span>
      </a>
    );
  },
  // An image would tell another server who reads this.
  img({ alt }) {
    return (
      <span className="text-muted-foreground">
        [{strings.feed.image}
        {alt === undefined || alt === '' ? '' : `: ${alt}`}]
      </span>
    );
  },
  input({ checked }) {
    return (
      <input
        type="checkbox"
        checked={checked ?? false}
        readOnly
        disabled
        aria-label={strings.feed.task}
        className="mr-1.5"
      />
    );
  },
  table({ children }) {
    return (
      <div className="my-2 overflow-x-auto" tabIndex={0} role="region" aria-label={strings.feed.table}>
        <table className="text-[13px]">{children}</table>
      </div>
    );
  },
  pre({ children }) {
    return (
      <pre
        className="bg-muted my-2 overflow-x-auto rounded-md border p-3 font-mono text-xs leading-5"
        tabIndex={0}
      >
        {children}
      </pre>
    );
  },
  h1: ({ children }) => <p className="mt-3 mb-1 text-base font-semibold">{children}</p>,
  h2: ({ children }) => <p className="mt-3 mb-1 text-[15px] font-semibold">{children}</p>,
  h3: ({ children }) => <p className="mt-2 mb-1 font-semibold">{children}</p>,
  h4: ({ children }) => <p className="mt-2 mb-1 font-semibold">{children}</p>,
  h5: ({ children }) => <p className="mt-2 mb-1 font-semibold">{children}</p>,
  h6: ({ children }) => <p className="mt-2 mb-1 font-semibold">{children}</p>,
};

const PLUGINS = [remarkGfm];

const Chunk = memo(function Chunk({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={PLUGINS} rehypePlugins={SCHEMA} components={COMPONENTS} skipHtml>
      {text}
    </ReactMarkdown>
  );
});

export default function Markdown({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const chunks = useMemo(() => {
    const shown = showText(text);
    return isGrowing ? splitGrowing(shown) : [shown];
  }, [text, isGrowing]);
  return (
    <div className="agentic-prose">
      {chunks.map((chunk, place) => (
        <Chunk key={place} text={chunk} />
      ))}
    </div>
  );
}
