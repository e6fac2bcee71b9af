/**
 * Who has to answer a question, in words, as `agentic` says it (`core/agentic_core/approvals.py`). Pure.
 */

import type { Approval, Rule, Session } from './session';

export interface Tally {
  readonly agreeing: readonly string[];
  readonly dissenting: readonly string[];
  readonly needed: number;
}

/** Returns who agrees on the answer that most give, and who gave another one. */
export function countGiven(approval: Approval): Tally {
  const byValue = new Map<string, string[]>();
  for (const each of approval.given) {
    byValue.set(each.valueDigest, [...(byValue.get(each.valueDigest) ?? []), each.by]);
  }
  let leading: readonly string[] = [];
  for (const names of byValue.values()) if (names.length > leading.length) leading = names;
  const dissenting = [...byValue.values()].filter((names) => names !== leading).flat();
  return { agreeing: leading, dissenting, needed: approval.rule.count };
}

/** Returns whose answers a rule demands; empty for anybody's. */
export function describeRule(rule: Rule, creator: string, asker: string): string {
  const groups = rule.groups.map((names) =>
    names.length === 1 ? `of group ${names[0] ?? ''}` : `of one of the groups ${names.join(', ')}`,
  );
  const said = groups.join(' and ');
  if (!rule.notCreator) return said;
  const creators = creator === '' ? 'not whoever started it' : `not ${creator} (who started it)`;
  const others =
    asker !== '' && asker !== creator ? `${creators}, not ${asker} (whose turn it is)` : creators;
  return said === '' ? others : `${said}, ${others}`;
}

/** Returns what is needed for an answer to count, in one line; empty where anybody's will do. */
export function describeNeeded(approval: Approval, session: Session): string {
  if (approval.problem !== '') return `Nobody can answer: ${approval.problem}`;
  const { rule } = approval;
  const who = describeRule(rule, session.createdBy, session.turn?.by ?? '');
  if (rule.count > 1)
    return `${String(rule.count)} people give the same answer${who === '' ? '' : ` (${who})`}`;
  if (who !== '') return `An answer ${who}`;
  return rule.identity ? 'An answer that states whose it is' : '';
}
