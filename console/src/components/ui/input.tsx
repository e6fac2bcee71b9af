import type { ComponentProps } from 'react';
import { cn } from '@/lib/cn';

export const fieldClasses =
  'border-input/70 bg-card placeholder:text-muted-foreground aria-invalid:border-destructive w-full min-w-0 rounded-md border px-2.5 text-[13px] shadow-xs transition-colors disabled:cursor-not-allowed disabled:opacity-50';

export function Input({ className, type = 'text', ...props }: ComponentProps<'input'>) {
  return <input type={type} className={cn(fieldClasses, 'h-8', className)} {...props} />;
}

export function Textarea({ className, ...props }: ComponentProps<'textarea'>) {
  return <textarea className={cn(fieldClasses, 'min-h-16 py-1.5 leading-5', className)} {...props} />;
}
