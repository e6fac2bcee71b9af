/** What cannot be fetched says so in its own place, and is there once it can be. */
import { act, fireEvent, render, screen } from '@testing-library/react';
import { type ComponentType, useState } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PartFailure, makePart } from './Part';

interface Props {
  readonly text: string;
}
type Importer = () => Promise<ComponentType<Props>>;

function Drawn({ text }: Props) {
  return <p>drawn: {text}</p>;
}

/** An importer whose attempts end as they are told to, and how many there were. */
function anImporter() {
  const ends: { resolve: () => void; reject: () => void }[] = [];
  const importer: Importer = () =>
    new Promise((resolve, reject) => {
      ends.push({
        resolve: () => {
          resolve(Drawn);
        },
        reject: () => {
          reject(new TypeError('Failed to fetch dynamically imported module'));
        },
      });
    });
  return { importer, ends };
}

/** Lets everything happen that waits for no time to pass. */
async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await act(async () => vi.advanceTimersByTimeAsync(0));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function show(importer: Importer) {
  const Shown = makePart(importer, { waiting: () => <p>waiting</p> });
  function Page() {
    const [count, setCount] = useState(0);
    return (
      <>
        <button type="button" onClick={() => setCount(count + 1)}>
          clicked {count}
        </button>
        <Shown text="a" />
        <Shown text="b" />
      </>
    );
  }
  return render(<Page />);
}

it('is drawn once it is there, fetched once for all places', async () => {
  const { importer, ends } = anImporter();
  show(importer);
  await settle();
  expect(screen.getAllByText('waiting')).toHaveLength(2);
  ends[0]?.resolve();
  await settle();
  expect(screen.getByText('drawn: a')).toBeVisible();
  expect(screen.getByText('drawn: b')).toBeVisible();
  expect(ends).toHaveLength(1);
});

it('fails in its own place, and is fetched again by the button', async () => {
  const { importer, ends } = anImporter();
  show(importer);
  await settle();
  ends[0]?.reject();
  await settle();
  expect(screen.getAllByText(/could not be loaded/)).toHaveLength(2);
  fireEvent.click(screen.getByText('clicked 0'));
  expect(screen.getByText('clicked 1')).toBeVisible();
  const [again] = screen.getAllByRole('button', { name: 'Load again' });
  if (again !== undefined) fireEvent.click(again);
  await settle();
  ends[1]?.resolve();
  await settle();
  expect(screen.getByText('drawn: a')).toBeVisible();
  expect(screen.getByText('drawn: b')).toBeVisible();
});

it('is fetched again by itself, after pauses that grow, and when the network is back', async () => {
  const { importer, ends } = anImporter();
  show(importer);
  await settle();
  for (const pause of [500, 1000, 2000]) {
    const attempts = ends.length;
    ends[attempts - 1]?.reject();
    await settle();
    await act(async () => vi.advanceTimersByTimeAsync(pause - 1));
    expect(ends).toHaveLength(attempts);
    await act(async () => vi.advanceTimersByTimeAsync(1));
    expect(ends).toHaveLength(attempts + 1);
  }
  ends.at(-1)?.reject();
  await settle();
  act(() => {
    window.dispatchEvent(new Event('online'));
  });
  await settle();
  expect(ends).toHaveLength(5);
  ends.at(-1)?.resolve();
  await settle();
  expect(screen.getByText('drawn: a')).toBeVisible();
  expect(vi.getTimerCount()).toBe(0);
});

it('is asked for no more once nobody waits for it', async () => {
  const { importer, ends } = anImporter();
  const page = show(importer);
  await settle();
  ends[0]?.reject();
  await settle();
  page.unmount();
  expect(vi.getTimerCount()).toBe(0);
  window.dispatchEvent(new Event('online'));
  await settle();
  expect(ends).toHaveLength(1);
});

it('never rejects where it is only prepared, and says later that it failed', async () => {
  const { importer, ends } = anImporter();
  const Shown = makePart(importer, {
    waiting: () => <p>waiting</p>,
    failed: ({ text }, part) => <PartFailure part={part} text={`plain: ${text}`} />,
  });
  const prepared = Shown.preload();
  await settle();
  ends[0]?.reject();
  await expect(prepared).resolves.toBeUndefined();
  render(<Shown text="a" />);
  expect(screen.getByText('plain: a')).toBeVisible();
  await settle();
  ends[1]?.resolve();
  await settle();
  expect(screen.getByText('drawn: a')).toBeVisible();
});

it('asks for the styles again that could not be fetched, before it is drawn', async () => {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = '/assets/graph.css';
  document.head.append(link);
  link.dispatchEvent(new Event('error'));
  const { importer, ends } = anImporter();
  show(importer);
  await settle();
  expect(ends).toHaveLength(0);
  const fresh = document.querySelector('link[href="/assets/graph.css"]');
  expect(fresh).not.toBe(link);
  fresh?.dispatchEvent(new Event('error'));
  await settle();
  expect(screen.getAllByText(/could not be loaded/)).toHaveLength(2);
  await act(async () => vi.advanceTimersByTimeAsync(500));
  await settle();
  document.querySelector('link[href="/assets/graph.css"]')?.dispatchEvent(new Event('load'));
  await settle();
  ends[0]?.resolve();
  await settle();
  expect(screen.getByText('drawn: a')).toBeVisible();
});

it('offers the newer page where the gateway serves another console', async () => {
  const script = document.createElement('script');
  script.type = 'module';
  script.src = '/assets/index-old.js';
  document.head.append(script);
  vi.stubGlobal('fetch', () =>
    Promise.resolve(new Response('<script type="module" src="./assets/index-new.js"></script>')),
  );
  const { importer, ends } = anImporter();
  show(importer);
  await settle();
  ends[0]?.reject();
  await settle();
  expect(screen.getAllByText(/was updated while this page was open/)).toHaveLength(2);
  script.remove();
});
