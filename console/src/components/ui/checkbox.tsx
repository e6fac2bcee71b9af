import { type ComponentProps, useEffect, useRef } from 'react';
import { cn } from '@/lib/cn';

export interface CheckboxProps extends Omit<ComponentProps<'input'>, 'type'> {
  isMixed?: boolean;
}

export function Checkbox({ className, isMixed = false, ...props }: CheckboxProps) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (box.current !== null) box.current.indeterminate = isMixed;
  }, [isMixed]);
  return (
    <input ref={box} type="checkbox" className={cn('accent-primary size-4 rounded', className)} {...props} />
  );
}
