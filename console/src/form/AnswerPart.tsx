/** The form of an answer, whose engine is fetched with the first question. */

import { makePart } from '@/components/Part';
import { Skeleton } from '@/components/ui/skeleton';

export const AnswerPart = makePart(async () => (await import('./AnswerForm')).AnswerForm, {
  waiting: () => <Skeleton className="h-24" />,
});
