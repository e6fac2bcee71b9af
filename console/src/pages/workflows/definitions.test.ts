import { describe, expect, it } from 'vitest';
import { matches, readDefinition } from './definitions';

const condition = (type: string, status: string, message = '', observedGeneration = 2) => ({
  type,
  status,
  message,
  reason: 'Because',
  observedGeneration,
});
const made = (conditions: object[], spec: object = {}) =>
  readDefinition({
    metadata: { namespace: 'team', name: 'report', generation: 2 },
    spec,
    status: { conditions },
  });

describe('a definition', () => {
  it('is ready where that is said of its newest generation', () => {
    expect(made([condition('Ready', 'True')]).readiness).toBe('ready');
    expect(made([condition('Ready', 'True', '', 1)]).readiness).toBe('checking');
    expect(made([]).readiness).toBe('checking');
  });

  it('says which check failed and why', () => {
    const found = made([
      condition('Inspected', 'False', 'the graph does not load: no module named rivers'),
      condition('Ready', 'False', 'not inspected'),
    ]);
    expect([found.readiness, found.why]).toEqual([
      'not-ready',
      'the graph does not load: no module named rivers',
    ]);
  });

  it('is read whatever the resource holds', () => {
    for (const object of [
      null,
      [],
      { metadata: 3, spec: 'x', status: { conditions: 'x' } },
      { spec: { tags: [1, null] } },
    ]) {
      expect(readDefinition(object).readiness).toBe('checking');
    }
  });

  it('is found by the words of its name, tags and description', () => {
    const found = made([], { displayName: 'River report', tags: ['water'], description: 'Finds outliers' });
    expect(['river water', 'OUTLIERS', 'report', ''].map((words) => matches(found, words))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(matches(found, 'river fire')).toBe(false);
  });
});
