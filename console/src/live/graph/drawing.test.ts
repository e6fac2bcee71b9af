import { describe, expect, it } from 'vitest';
import { placeInRows, readDrawing } from './drawing';
import { placeNodes } from './place';

describe('a graph', () => {
  it('has the edges that its texts name', () => {
    const drawing = readDrawing(
      ['__start__', 'a', 'b', '__end__'],
      ['__start__ -> a', 'a -> b ?', 'b -> __end__', 'b -> nowhere'],
    );
    expect(drawing.edges).toEqual([
      { from: '__start__', to: 'a', isConditional: false },
      { from: 'a', to: 'b', isConditional: true },
      { from: 'b', to: '__end__', isConditional: false },
    ]);
  });

  it('takes names that hold arrows', () => {
    const drawing = readDrawing(['a -> b', 'c', 'a'], ['a -> b -> c', 'a -> a -> b']);
    expect(drawing.edges.map(({ from, to }) => [from, to])).toEqual([
      ['a -> b', 'c'],
      ['a', 'a -> b'],
    ]);
  });

  const many = Array.from({ length: 300 }, (_, place) => `n${String(place)}`);
  const layered = many.slice(0, 290).flatMap((node, place) => {
    const row = Math.floor(place / 10) + 1;
    return [
      `${node} -> n${String(row * 10 + (place % 10))}`,
      `${node} -> n${String(row * 10 + ((place * 7 + 3) % 10))}`,
    ];
  });
  const tangled = many.flatMap((node, place) => [
    `${node} -> n${String((place * 7 + 1) % 300)}`,
    `${node} -> n${String((place + 1) % 300)}`,
  ]);

  it.each([
    ['by dagre', placeNodes, layered],
    ['in rows', placeInRows, layered],
    ['in rows, where dagre would take minutes', placeInRows, tangled],
  ])(
    'of 300 nodes is placed %s without two nodes on one place',
    (_, place, edges) => {
      const placed = place(readDrawing(many, edges));
      expect(placed).toHaveLength(300);
      for (const a of placed) {
        const hit = placed.filter((b) => Math.abs(a.x - b.x) < a.width && Math.abs(a.y - b.y) < a.height);
        expect(hit).toEqual([a]);
      }
    },
    30_000,
  );

  it('may be empty', () => {
    expect(placeNodes(readDrawing([], []))).toEqual([]);
  });
});
