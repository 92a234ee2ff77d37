// Writes a dashboard as TypeScript, so that the compiler holds it against Grafana's types: the whole of it, and the
// options and fields of each panel, which the type of a dashboard leaves open.
import { readFileSync } from 'node:fs';

const text = readFileSync(process.argv[2], 'utf8');
const panels = JSON.parse(text).panels.filter((panel) => panel.type !== 'row');
const kinds = new Set(panels.map((panel) => panel.type));

console.log(`import type { Dashboard } from '@grafana/schema';`);
for (const kind of kinds) {
  const name = kind[0].toUpperCase() + kind.slice(1);
  const path = { timeseries: 'TimeSeries' }[kind] ?? name;
  console.log(`import type * as ${name} from '@grafana/schema/dist/esm/raw/composable/${kind}/panelcfg/x/${path}PanelCfg_types.gen';`);
}
// in JSON, a member of an enum is its text
console.log('type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;');
console.log(`export const dashboard: Json<Dashboard> = ${text};`);
panels.forEach((panel, i) => {
  const name = panel.type[0].toUpperCase() + panel.type.slice(1);
  console.log(`// ${panel.title}`);
  console.log(`export const options${i}: Json<Partial<${name}.Options>> = ${JSON.stringify(panel.options)};`);
  const custom = panel.fieldConfig?.defaults?.custom;
  if (custom) {
    console.log(`export const custom${i}: Json<Partial<${name}.FieldConfig>> = ${JSON.stringify(custom)};`);
  }
});
