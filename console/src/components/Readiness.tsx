import { Badge } from '@/components/ui/badge';
import { strings } from '@/strings/workflows';

/** Whether sessions of a workflow can start. */
export function Readiness({ value }: { value: 'ready' | 'not-ready' | 'checking' }) {
  switch (value) {
    case 'ready':
      return <Badge tone="success">{strings.ready}</Badge>;
    case 'not-ready':
      return <Badge tone="danger">{strings.notReady}</Badge>;
    case 'checking':
      return <Badge tone="info">{strings.checking}</Badge>;
  }
}
