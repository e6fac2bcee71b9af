/** A value as YAML. Fetched with what reads and writes it when it is asked for. */

import { readYaml, writeYaml } from './manifest';
import { type Notation, TextEditor, type TextProps } from './RawEditor';

const YAML_NOTATION: Notation = { write: writeYaml, read: readYaml };

export function YamlEditor(props: TextProps) {
  return <TextEditor notation={YAML_NOTATION} {...props} />;
}
