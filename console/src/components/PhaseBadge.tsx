import { PHASES, type Phase } from '@/app/search';
import { Badge, type Tone } from '@/components/ui/badge';
import { cn } from '@/lib/cn';
import { phaseNames } from '@/strings/phases';

const TONES: Readonly<Record<Phase, Tone>> = {
  Pending: 'neutral',
  Creating: 'info',
  Running: 'info',
  WaitingForInput: 'warning',
  Idle: 'neutral',
  Suspended: 'neutral',
  Completed: 'success',
  Failed: 'danger',
  Stopped: 'neutral',
};

/** Return the phase of a status; Pending where nobody has written one yet. */
export function readPhase(phase: unknown): Phase {
  return PHASES.find((each) => each === phase) ?? 'Pending';
}

export function PhaseBadge({ phase, className }: { phase: Phase; className?: string }) {
  return (
    <Badge tone={TONES[phase]} className={className} data-phase={phase}>
      <span
        aria-hidden
        className={cn(
          'size-1.5 rounded-full bg-current',
          (phase === 'Running' || phase === 'Creating') && 'animate-pulse',
        )}
      />
      {phaseNames[phase]}
    </Badge>
  );
}
