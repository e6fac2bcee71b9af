import { type ClassValue, clsx } from 'clsx';
import { twMerge } from 'tailwind-merge';

/** Join class names; of two that say the same the later one holds. */
export function cn(...values: ClassValue[]): string {
  return twMerge(clsx(values));
}
