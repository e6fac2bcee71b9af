import type { Phase } from '@/app/search';

/** How the phases of a session are called. */
export const phaseNames: Readonly<Record<Phase, string>> = {
  Pending: 'Pending',
  Creating: 'Starting',
  Running: 'Running',
  WaitingForInput: 'Waiting for input',
  Idle: 'Idle',
  Suspended: 'Suspended',
  Completed: 'Completed',
  Failed: 'Failed',
  Stopped: 'Stopped',
};
