/** The session's resource as YAML, as `kubectl get -o yaml` shows it. Fetched with what writes it when it is shown first. */

import { useMemo, useState } from 'react';
import { Document } from 'yaml';
import { type JsonObject, asObject, isLosslessNumber } from '@/api';
import { CopyButton } from '@/components/CopyLine';
import { Card } from '@/components/ui/card';
import { Checkbox } from '@/components/ui/checkbox';
import { showText } from '@/lib/text';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';

/** Returns YAML with all digits. */
export function writeYaml(value: JsonObject): string {
  const number = {
    tag: 'tag:yaml.org,2002:float',
    default: true,
    identify: isLosslessNumber,
    resolve: (text: string) => text,
    stringify: ({ value: found }: { value: unknown }) => (isLosslessNumber(found) ? found.toString() : ''),
  };
  return new Document(value, { customTags: (tags) => [number, ...tags] }).toString({ lineWidth: 0 });
}

function withoutManagedFields(raw: JsonObject): JsonObject {
  const metadata = { ...asObject(raw['metadata']) };
  delete metadata['managedFields'];
  return { ...raw, metadata };
}

export function Resource({ session }: { session: Session }) {
  const [hasManaged, setManaged] = useState(false);
  const { raw } = session;
  const text = useMemo(() => writeYaml(hasManaged ? raw : withoutManagedFields(raw)), [raw, hasManaged]);
  return (
    <div className="space-y-3">
      <div className="flex items-center justify-between text-[13px]">
        <label className="flex items-center gap-1.5">
          <Checkbox
            checked={hasManaged}
            onChange={(event) => {
              setManaged(event.target.checked);
            }}
          />
          {strings.resource.managed}
        </label>
        <CopyButton text={text} label={strings.resource.copy} />
      </div>
      <Card className="overflow-hidden">
        <pre tabIndex={0} className="max-h-[70vh] overflow-auto p-4 font-mono text-xs leading-5" data-yaml>
          {showText(text)}
        </pre>
      </Card>
    </div>
  );
}
